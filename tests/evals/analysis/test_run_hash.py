"""A run's hash is one of what was asked and answered, whatever the folder and however it was executed."""

import asyncio

import pytest

from debate.config.load import validate
from evals.analysis.run_hash import run_hash
from evals.analysis.run_record import read_run
from evals.evaluation import evaluate


@pytest.fixture
def hashed(tmp_path):
    """Play a debate of the mock, and return the hash of its run."""
    made = []

    def play(**keys):
        raw = {
            "backend": "mock",
            "model": "mock",
            "agents": {"ada": {}, "ben": {}},
            "task": "arithmetic",
            "message": "text",
        }
        folder = tmp_path / f"{len(made)}"
        made.append(folder)
        asyncio.run(evaluate(validate(raw | keys, source="x"), out=folder, methods=["text"], limit=3))
        return run_hash(read_run(folder))

    return play


def test_the_same_debates_have_one_hash_however_they_were_executed(hashed):
    assert hashed() == hashed() == hashed(execution={"rows_at_once": 1})


def test_another_config_or_answer_has_another_hash(hashed):
    assert len({hashed(), hashed(seed=5), hashed(rounds=1)}) == 3
