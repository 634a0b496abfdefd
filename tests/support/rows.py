"""Records of runs that nobody played, for statistics over them."""

import numpy as np

from debate.config.load import validate
from debate.decision.option_reading import OptionReading
from evals.analysis.run_record import DebateRow, MethodRecord, TurnRow


def turn(question, round, agent, answer, target, *, belief=None, confidence=None):
    """Return a turn that gave an answer, with its belief over options and its confidence."""
    return TurnRow(
        question=question, round=round, agent=agent, is_deciding=agent == "ada", temperature=0.5, encoder=None, answer=answer,
        verdict="no answer" if answer is None else "correct" if answer == target else "incorrect", strict_answer=answer,
        strict_verdict="", prompt_tokens=1, cached_tokens=0, generated_tokens=1, message_bytes=1, seconds=None,
        confidence=confidence, finish_reason="stop", seed=0, heard=(), digest="", text="",
        entropy=np.empty(0, dtype=np.float32), belief=None if belief is None else OptionReading(belief, 1.0, (), 0),
    )  # fmt: skip


def debate(question, target, decided, turns):
    """Return a debate that ended in an answer."""
    verdict = "no answer" if decided is None else "correct" if decided == target else "incorrect"
    return DebateRow(question, question, target, decided, verdict, "", None, None, tuple(turns), None)


def method(name, debates, agents=("ada", "ben"), **config):
    """Return a method of some agents with these debates."""
    raw = {"backend": "mock", "model": "mock", "agents": {agent: {} for agent in agents}, **config}
    return MethodRecord(name, validate(raw, source="x"), tuple(debates), 0)
