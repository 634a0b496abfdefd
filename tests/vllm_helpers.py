"""Starting real vLLM engines."""

import asyncio
import contextlib

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
