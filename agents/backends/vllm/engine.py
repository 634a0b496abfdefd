"""One running vLLM engine on a thread and an event loop of its own. The only file that talks to AsyncLLM.

Its own loop, because AsyncLLM is bound to the loop it first ran on, and callers come and go with theirs.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import load, load_file, save_file
from torch import Tensor

from agents.backends.vllm.in_process import SWITCH, InProcess
from agents.backends.vllm.last_words import Heard, in_a_sentence, stopped_by
from agents.backends.vllm.stages import told
from agents.errors import BackendFailed, StartStopped
from agents.hearing_table import HearingTable
from agents.pretrained import Progress

T = TypeVar("T")

# Until an engine that was asked to end is killed.
SHUTDOWN_S = 20


class Engine:
    """AsyncLLM with our worker, and what the worker is asked.

    Args:
        config: of `options.engine_config`.
        restarts: how often it is started again after it died.
        progress: called with a sentence for each start.

    Raises:
        StartStopped: its process was ended from outside while it started.
        BackendFailed: it did not start.
    """

    def __init__(self, config: Any, *, restarts: int, progress: Progress) -> None:
        self._config, self._restarts, self._progress = config, restarts, progress
        self._llm: Any = None
        self._heard = Heard()
        self._claims: list[tuple[list[Any], asyncio.Future[dict[str, Tensor]]]] = []
        self._claiming: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        self._reviving, self._holding = asyncio.Lock(), asyncio.Lock()
        # Hashes of the tables that the worker was given since it was started.
        self._held: set[str] = set()
        try:
            self.wait(self._start())
        except BaseException as error:
            self._end_thread()
            if _is_being_cancelled():
                # Ctrl-C reaches vLLM's processes too, and they may end before whoever waits for them is interrupted.
                raise asyncio.CancelledError from error
            raise

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Have a coroutine run on the engine's loop, and return what it will return."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine on the engine's loop returns; blocks."""
        return self.begin(work).result()

    def soon(self, event: asyncio.Event) -> None:
        """Set an event that something on the engine's loop waits for."""
        self._loop.call_soon_threadsafe(event.set)

    def stop(self) -> None:
        """End the engine's processes and its thread."""

        async def end() -> None:
            if self._llm is not None:
                self._llm.shutdown(timeout=SHUTDOWN_S)
                self._llm = None
            # What vLLM leaves on the loop ends before the loop does.
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        if self._thread.is_alive():
            self.wait(end())
            self._end_thread()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._heard.close()

    async def _start(self) -> None:
        from vllm.v1.engine.async_llm import AsyncLLM

        in_process = (
            self._config.parallel_config.distributed_executor_backend == "uni" and os.environ.get(SWITCH) == "0"
        )
        self._held.clear()
        try:
            with self._heard.by_new_workers(), told(self._progress):
                if in_process:
                    self._llm = InProcess(self._config)
                else:
                    self._llm = AsyncLLM.from_vllm_config(self._config, disable_log_stats=True)
        except Exception as error:
            if not (words := self._heard.words()) and (by := stopped_by(error)):
                raise StartStopped(
                    f"vLLM's process was ended by {by} while it started: somebody stopped it, or the system did for want of "
                    "memory. Run the same command again, with less beside it"
                ) from error
            said = words or in_a_sentence(error)
            raise BackendFailed(f"vLLM did not start: {said}") from error

    async def revived(self) -> None:
        """Return when the engine runs; start it again if it died and may be.

        Raises:
            BackendFailed: it died and may not be started again, or does not start.
        """
        async with self._reviving:
            if self._llm is not None and not self._llm.errored:
                return
            if not self._restarts:
                raise BackendFailed(
                    "the vLLM engine died and is not started again; the option `restarts` says how often it may be"
                )
            self._restarts -= 1
            self._progress("the vLLM engine died; starting it again")
            if self._llm is not None:
                self._llm.shutdown()
                self._llm = None
            await self._start()

    async def generate(self, prompt: Any, params: Any, request_id: str, lora: Any) -> AsyncIterator[Any]:
        """Yield vLLM's outputs of one request. Closed early, it returns when vLLM has been told to abort the request.

        Raises:
            BackendFailed: the engine died.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        outputs = self._llm.generate(prompt, params, request_id, lora_request=lora)
        try:
            # Closed here: left to the garbage collector, vLLM's abort would follow what the caller sends next.
            async with contextlib.aclosing(outputs):
                async for output in outputs:
                    yield output
        except EngineDeadError as error:
            raise BackendFailed(self._died("the vLLM engine died during this request")) from error

    async def abort(self, request_id: str) -> None:
        """End a request where it is."""
        with contextlib.suppress(Exception):  # a dead engine has nothing to abort
            await self._llm.abort(request_id)

    async def call(self, method: str, *args: Any) -> Any:
        """Return what rank 0 answers to a call of one of our worker methods."""
        from vllm.v1.engine.exceptions import EngineDeadError

        if self._llm is None:
            raise BackendFailed("the vLLM engine is not running")
        try:
            return (await self._llm.collective_rpc(method, args=args))[0]
        except EngineDeadError as error:
            raise BackendFailed(self._died("the vLLM engine died")) from error

    def _died(self, sentence: str) -> str:
        words = self._heard.words()
        return f"{sentence}: {words}" if words else sentence

    async def hold(self, hearer: HearingTable) -> None:
        """Give the worker the table of one who will hear it; once for each start."""
        async with self._holding:
            if hearer.model.table in self._held:
                return
            with tempfile.TemporaryDirectory(prefix="cipher-debate-") as folder:
                path = str(Path(folder) / "table.safetensors")
                await asyncio.to_thread(save_file, {"table": hearer.table.weight.detach().cpu().contiguous()}, path)
                await self.call("cipher_hold_table", hearer.model.table, path)
            self._held.add(hearer.model.table)

    async def table(self) -> Tensor:
        """Return what the model reads of each token, [V, D]."""
        with tempfile.TemporaryDirectory(prefix="cipher-debate-") as folder:
            path = str(Path(folder) / "table.safetensors")
            await self.call("cipher_write_table", path)
            found: Tensor = (await asyncio.to_thread(load_file, path))["table"]
            return found

    async def take(self, key: str, length: int) -> dict[str, Tensor]:
        """Return what the request with this key said, `length` steps; asked for together with whatever else has ended.

        Raises:
            BackendFailed: the worker does not have it; the text says why.
        """
        future: asyncio.Future[dict[str, Tensor]] = self._loop.create_future()
        self._claims.append(([key, length, 0], future))
        if self._claiming is None or self._claiming.done():
            self._claiming = self._loop.create_task(self._claim())
        return await future

    async def _claim(self) -> None:
        while self._claims:
            claims, self._claims = self._claims, []
            try:
                answers = await self.call("cipher_take", [asked for asked, _ in claims])
            except Exception as error:  # everyone who waits must learn of it
                for _, future in claims:
                    future.set_exception(BackendFailed(f"the vectors could not be fetched: {_text(error)}"))
                continue
            for (_, future), (data, reason) in zip(claims, answers, strict=True):
                if reason:
                    future.set_exception(BackendFailed(f"the worker could not follow this request: {reason}"))
                else:
                    future.set_result(load(bytes(data)))


def _is_being_cancelled() -> bool:
    """Whether the task that this is called in, if any, has been asked to end."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        # No loop runs in this thread.
        return False
    return task is not None and task.cancelling() > 0


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
