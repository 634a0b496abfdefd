"""Starting real vLLM engines."""

import asyncio
import contextlib

from agents.supervision.wrapped import Wrapped

# With so few blocks of keys and values, and so few positions a step, requests are preempted and prompts read in parts.
CRAMPED = {"num_gpu_blocks_override": 28, "max_num_batched_tokens": 64, "max_model_len": 512, "max_num_seqs": 16}


@contextlib.contextmanager
def engine(folder, *, is_within=False, **options):
    """Start one, in a process of its own; or within this one, which spares what a process takes to import vLLM."""
    from agents.backends.vllm.in_process import within
    from agents.registry import create_backend

    with within() if is_within else contextlib.nullcontext():
        backend = create_backend("vllm", model=str(folder), dtype="float32", **options)
    try:
        yield backend
    finally:
        asyncio.run(backend.close())


class Lent(Wrapped):
    """A running engine for one test: closing it ends what the test asked for, and the engine stays up."""

    def __init__(self, inner):
        super().__init__(inner)
        self._pending = []

    def submit(self, request):
        self._pending.append(pending := super().submit(request))
        return pending

    async def close(self):
        waiting = [pending for pending in self._pending if not pending.is_done]
        for pending in waiting:
            pending.cancel()
        for pending in waiting:
            await pending
