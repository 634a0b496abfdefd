"""A start that somebody stopped is no fault of the model, and closing an engine hides no error."""

import asyncio
import multiprocessing
import sys
import time
from types import ModuleType, SimpleNamespace

import pytest

from agents.backend import Generation, Load, Usage
from agents.backends.vllm.backend import VLLMBackend
from agents.backends.vllm.engine import Engine
from agents.backends.vllm.last_words import stopped_by
from agents.backends.vllm.pending import VLLMPending
from agents.errors import BackendFailed, StartStopped
from agents.fingerprint import ModelFingerprint
from agents.message import Message

CONFIG = SimpleNamespace(parallel_config=SimpleNamespace(distributed_executor_backend="mp"))


def failed(codes):
    return RuntimeError(f"Engine core initialization failed. See root cause above. Failed core proc(s): {codes}")


@pytest.fixture
def starting(monkeypatch):
    """Return a function that starts an engine whose processes end with exit codes, after something has happened."""

    def start(codes, meanwhile=lambda: None):
        def from_vllm_config(*given, **named):
            meanwhile()
            raise failed(codes)

        # vLLM itself takes seconds to import, and is not what is looked at.
        for name in ("vllm", "vllm.v1", "vllm.v1.engine"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        fake = ModuleType("vllm.v1.engine.async_llm")
        fake.AsyncLLM = SimpleNamespace(from_vllm_config=from_vllm_config)
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
        return Engine(CONFIG, restarts=0, progress=lambda said: None)

    return start


@pytest.mark.parametrize(
    ("codes", "by"),
    [
        ({"EngineCore_DP0": -9}, "SIGKILL"),
        ({"EngineCore_DP0": -2}, "SIGINT"),
        ({"EngineCore_DP0": 0, "EngineCore_DP1": -15}, "SIGTERM"),
        ({"EngineCore_DP0": 0}, "a request to end"),
        ({"EngineCore_DP0": 1}, ""),
        ({"EngineCore_DP0": -11}, ""),
        ({"EngineCore_DP0": -9, "EngineCore_DP1": 1}, ""),
        ({}, ""),
    ],
)
def test_a_start_that_is_stopped_from_outside_is_told_apart_from_one_that_fails(starting, codes, by):
    assert stopped_by(failed(codes)) == by
    with pytest.raises(BackendFailed) as caught:
        starting(codes)
    if by:
        assert type(caught.value) is StartStopped
        assert f"ended by {by} while it started" in str(caught.value)
    else:
        assert type(caught.value) is BackendFailed
        assert "vLLM did not start: Engine core initialization failed" in str(caught.value)


def _wait_for(launch):
    # vLLM may have looked before the exit code was there.
    assert launch.engine_manager.processes
    raise failed({})


def test_a_process_that_ended_this_very_moment_is_asked_again(starting):
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(100,))
    process.start()

    def killed():
        process.kill()
        _wait_for(SimpleNamespace(engine_manager=SimpleNamespace(processes=[process])))

    with pytest.raises(StartStopped, match="ended by SIGKILL"):
        starting({}, meanwhile=killed)


def test_ctrl_c_that_ends_the_processes_first_is_ctrl_c(starting):
    async def go():
        task = asyncio.current_task()
        starting({"EngineCore_DP0": 1}, meanwhile=task.cancel)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(go())


class Idle(Engine):
    """An engine without a model."""

    async def _start(self):
        pass


def test_what_waits_on_another_loop_hides_no_error():
    backend = VLLMBackend.__new__(VLLMBackend)
    backend._engine = Idle(CONFIG, restarts=0, progress=lambda said: None)
    backend._pending, backend._answers, backend.load = set(), set(), Load()
    found = Generation(Message("", ModelFingerprint("m", "", "", 1, 0), 0.0), Usage(0, 0, 0), "cancelled")

    def submitted():
        pending = VLLMPending(backend._engine)

        async def answer():
            await pending.cancelled.wait()
            return found, 0

        backend._begin(pending, answer())
        return pending

    async def interrupted():
        submitted()
        raise KeyError("what was wrong")

    async def end():
        own = submitted()
        await backend.close()
        return await own

    def session():
        try:
            asyncio.run(interrupted())
        finally:
            assert asyncio.run(end()) is found

    with pytest.raises(KeyError, match="what was wrong"):
        session()
    assert not backend._answers
