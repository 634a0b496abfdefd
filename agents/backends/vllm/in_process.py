"""vLLM's engine in this very process: for looking at many small models one after another, where starting processes costs most.

Has of AsyncLLM what `engine.Engine` calls. Everything below it, the scheduler, the worker and what is computed, is the same.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from agents.backends.vllm.environment import variable

SWITCH = "VLLM_ENABLE_V1_MULTIPROCESSING"


@contextmanager
def within() -> Iterator[None]:
    """Have engines that are configured meanwhile run in this process."""
    with variable(SWITCH, "0"):
        yield


class InProcess:
    """An LLMEngine that is stepped while somebody waits.

    Args:
        config: of `options.engine_config`.
    """

    errored = False

    def __init__(self, config: Any) -> None:
        from vllm.v1.engine.llm_engine import LLMEngine

        try:
            self._engine = LLMEngine.from_vllm_config(config, disable_log_stats=True)
        except BaseException:
            _clear()
            raise
        self._outputs: dict[str, asyncio.Queue[Any]] = {}
        self._stepping: asyncio.Task[None] | None = None

    async def generate(self, prompt: Any, params: Any, request_id: str, lora_request: Any) -> AsyncIterator[Any]:
        """Yield the outputs of one request; those under way are stepped together."""
        outputs = self._outputs[request_id] = asyncio.Queue()
        self._engine.add_request(request_id, prompt, params, lora_request=lora_request)
        if self._stepping is None or self._stepping.done():
            self._stepping = asyncio.create_task(self._step())
        try:
            is_done = False
            while not is_done:
                output = await outputs.get()
                if isinstance(output, Exception):
                    raise output
                is_done = output.finished
                yield output
        finally:
            if self._outputs.pop(request_id, None) is not None and not is_done:
                self._engine.abort_request([request_id])

    async def collective_rpc(self, method: str, args: tuple[Any, ...] = ()) -> list[Any]:
        """Return what the worker answers."""
        found: list[Any] = self._engine.collective_rpc(method, args=args)
        return found

    async def abort(self, request_id: str) -> None:
        """End a request where it is."""
        self._engine.abort_request([request_id])

    def shutdown(self, timeout: float | None = None) -> None:
        """Free what the engine holds."""
        self._engine.engine_core.shutdown()
        _clear()

    async def _step(self) -> None:
        while self._engine.has_unfinished_requests():
            try:
                outputs = self._engine.step()
            except Exception as error:  # everyone who waits must learn of it
                for queue in self._outputs.values():
                    queue.put_nowait(error)
                return
            for output in outputs:
                if output.request_id in self._outputs:
                    self._outputs[output.request_id].put_nowait(output)
            await asyncio.sleep(0)


def _clear() -> None:
    """Leave nothing of one engine to the next."""
    from vllm.distributed.parallel_state import destroy_distributed_environment, destroy_model_parallel

    destroy_model_parallel()
    destroy_distributed_environment()
    _give_back_classes()


def _give_back_classes() -> None:
    """Undo what vLLM does to classes of transformers that it runs: it lets them be compiled, in place, for this whole process."""
    from vllm.compilation.wrapper import TorchCompileWithNoGuardsWrapper as Wrapper

    for name, module in list(sys.modules.items()):
        if not name.startswith("transformers.models.") or ".modeling_" not in name:
            continue
        for found in list(vars(module).values()):
            if isinstance(found, type) and Wrapper in found.__bases__:
                init: Any = found.__dict__["__init__"]
                own = dict(zip(init.__code__.co_freevars, init.__closure__, strict=True))["old_init"].cell_contents
                found.__bases__ = tuple(base for base in found.__bases__ if base is not Wrapper)
                found.__init__ = own  # type: ignore[misc]
                del found.__call__
