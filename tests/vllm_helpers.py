"""Starting real vLLM engines."""

import asyncio
import contextlib

from agents.backend import Backend

# With so few blocks of keys and values, and so few positions a step, requests are preempted and prompts read in parts.
CRAMPED = {"num_gpu_blocks_override": 28, "max_num_batched_tokens": 64, "max_model_len": 512, "max_num_seqs": 16}


@contextlib.contextmanager
def engine(folder, **options):
    from agents.registry import create_backend

    backend = create_backend("vllm", model=str(folder), dtype="float32", **options)
    try:
        yield backend
    finally:
        asyncio.run(backend.close())


class Lent(Backend):
    """A running engine for one test: closing it ends what the test asked for, and the engine stays up."""

    def __init__(self, engine):
        self._engine, self._pending = engine, []
        self.tokenizer, self.load = engine.tokenizer, engine.load

    @property
    def capabilities(self):
        return self._engine.capabilities

    @property
    def fingerprint(self):
        return self._engine.fingerprint

    def submit(self, request):
        self._pending.append(pending := self._engine.submit(request))
        return pending

    async def close(self):
        waiting = [pending for pending in self._pending if not pending.is_done]
        for pending in waiting:
            pending.cancel()
        for pending in waiting:
            await pending
