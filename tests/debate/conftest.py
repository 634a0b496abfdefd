"""Debates on the scripted backend, from a few keys."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agents.backend import Pending, Request
from agents.question import Question
from debate.build import build_debate
from debate.config.load import validate
from debate.config.schema import DebateConfig
from debate.orchestrator import Debate, play
from debate.runtime.backends import Backends
from debate.transcript import Transcript
from evals.tasks.arithmetic import Arithmetic

TASK = Arithmetic(seed=0)
SAMPLES = TASK.samples(3)


def mock_config(**keys: Any) -> DebateConfig:
    """Return a config on the mock backend."""
    base = {"backend": "mock", "model": "mock", "max_tokens": 40, "agents": {"agent": {"count": 4, "temperature": 0.5}}}
    return validate({**base, **keys}, source="test")


def play_config(config: DebateConfig, *, sample: int = 0) -> tuple[Debate, Transcript, Any]:
    """Return the debate, its transcript over a question, and the backend's requests."""

    async def run() -> tuple[Debate, Transcript, Any]:
        backends = Backends(config)
        targets = {Question(item.id, item.question): item.target for item in SAMPLES}
        requests: list[Request] = []
        debate = build_debate(config, backends, extract=TASK.extract, targets=targets)
        question = Question(SAMPLES[sample].id, SAMPLES[sample].question)
        for backend in backends.started:
            backend.submit = _recorded(backend.submit, requests)  # type: ignore[method-assign]
        transcript = await play(debate, question)
        await backends.close()
        return debate, transcript, requests

    return asyncio.run(run())


def _recorded(submit: Callable[[Request], Pending], requests: list[Request]) -> Callable[[Request], Pending]:
    def recorded(request: Request) -> Pending:
        requests.append(request)
        return submit(request)

    return recorded


@pytest.fixture
def config() -> Callable[..., DebateConfig]:
    """Return a maker of configs on the mock backend."""
    return mock_config


@pytest.fixture
def played() -> Callable[..., tuple[Debate, Transcript, Any]]:
    """Return a player of one debate."""
    return play_config


@pytest.fixture
def task() -> Arithmetic:
    """Return the task whose questions are played."""
    return TASK
