"""The Python API: an evaluation in five lines, a debate as a callable, and names that stay what they are."""

import asyncio
from importlib import import_module

import pytest

from agents.errors import ConfigError
from debate import DebateSession
from debate.config.load import validate


def test_an_evaluation_in_five_lines(tmp_path):
    from debate import load_config
    from debate.config.shipped import configs_folder
    from evals import analyse_run, evaluate

    asyncio.run(evaluate(load_config(configs_folder() / "smoke.yaml"), out=tmp_path / "run", limit=5))
    comparison = analyse_run(tmp_path / "run").comparisons[0]
    assert (comparison.first, comparison.second) == ("cipher", "text")
    assert "5 paired questions" in comparison.sentence


def test_public_names_are_functions_however_they_are_reached():
    import evals

    import_module("evals.evaluation")
    for _ in range(2):
        assert callable(evals.evaluate)
        assert callable(evals.analyse_run)
    for name in evals.__all__:
        assert not hasattr(getattr(evals, name), "__path__")
        assert type(getattr(evals, name)).__name__ != "module"


def test_a_debate_is_a_callable():
    with DebateSession("smoke", extract=lambda response: response.rpartition("Answer: ")[2] or None) as ask:
        first = ask("What is the result of 3+4*5+6-2*7?", id="q")
        second = ask("What is the result of 1+2*3+4-5*6?")
        again = ask("What is the result of 3+4*5+6-2*7?", id="q")
    assert first.answer is not None
    assert len(first.transcript.turns) == 6
    assert again.transcript == first.transcript
    assert second.transcript.question.id == "question-1"
    assert set(first.decision.answers) == {"ada", "ben"}


def test_a_callable_debate_takes_a_config_and_reports_its_mistakes():
    config = validate({"agents": {"ada": {}}, "backend": "mock", "model": "mock", "message": "text"}, source="x")
    with DebateSession(config) as ask:
        assert ask("What is the result of 3+4*5+6-2*7?").answer == "15"
    with pytest.raises(ConfigError, match="no config file"):
        DebateSession("no_such_config")
