"""The decision by the order of steps: what is weighed, what has no order, and what is refused."""

import json
from pathlib import Path

import pytest
from support.contracts import small_order
from support.messages import text

from agents.backend import Usage
from agents.errors import DebateError, ModelError
from agents.models.mp3.order_backend import load_judge
from agents.models.mp3.steps import steps_of
from agents.question import Question
from debate.config.electorate import Electorate
from debate.decision.decision import Poll
from debate.decision.rules import decision_rule
from debate.transcript import Transcript, Turn, TurnKey

ASKED = "What is 1+2*4?"
ONE, OTHER = "2*4=8, 1+8=9. Answer: 9", "1+8=9, 2*4=8. Answer: 12"
SHORT = "1+2*4=9. Answer: 9"


def decided(rule, said):
    turns = [Turn(TurnKey(1, agent), text(words), (), 0, Usage(0, 0, 1), "stop") for agent, words in said.items()]
    temperatures = {agent: 0.1 + place / 10 for place, agent in enumerate(said)}

    def extract(response):
        return response.partition("Answer: ")[2] or None

    poll = Poll(Transcript(Question("q", ASKED), tuple(turns)), Electorate(tuple(said), temperatures), extract)
    return decision_rule(rule)(poll)


@pytest.fixture
def judge(tmp_path):
    return small_order(tmp_path)["checkpoint"]


def test_a_judge_whose_sizes_do_not_fit_is_refused_with_its_folder(judge):
    path = Path(judge) / "config.json"
    stored = json.loads(path.read_text())
    stored["model"]["places"] = 1
    path.write_text(json.dumps(stored))
    with pytest.raises(ModelError, match=f"no judge of order in {judge}: a judge of order has two places"):
        decision_rule(f"step_order(judge={judge!r})")


def test_votes_are_weighed_by_plausibility_and_the_best_is_taken(judge):
    model, _ = load_judge(judge)
    p, q = (model.plausibility(ASKED, steps_of(said)) for said in (ONE, OTHER))
    assert p != q
    found = decided(f"step_order(judge={judge!r})", {"a": ONE, "b": OTHER, "c": OTHER})
    want = max((p, "9"), (2 * q, "12"))
    assert found.answer == want[1]
    assert found.reason == f"a weight of {want[0]:.3f} by the order of steps"
    best = decided(f'step_order(judge={judge!r}, by="best")', {"a": ONE, "b": OTHER, "c": OTHER})
    want = max((p, "9"), (q, "12"))
    assert (best.answer, best.reason) == (want[1], f"the most plausible order of steps, {want[0]:.3f}")


def test_what_has_no_order_weighs_as_the_mean_of_the_others(judge):
    model, _ = load_judge(judge)
    p = model.plausibility(ASKED, steps_of(ONE))
    found = decided(f"step_order(judge={judge!r})", {"a": ONE, "b": SHORT, "c": "no answer"})
    assert found.answer == "9"
    assert found.reason == f"a weight of {2 * p:.3f} by the order of steps; no order to judge of 1 agents"
    alone = decided(f"step_order(judge={judge!r})", {"a": SHORT})
    assert alone.reason == "a weight of 0.500 by the order of steps; no order to judge of 1 agents"
    assert decided(f"step_order(judge={judge!r})", {"a": "?"}).answer is None


def test_what_is_no_judge_is_a_sentence(tmp_path):
    for rule, sentence in (
        ("step_order(judge='nowhere')", "no judge of order in nowhere"),
        ("step_order(by='worst')", "by is 'worst'; known: votes, best"),
    ):
        with pytest.raises(DebateError, match=sentence):
            decision_rule(rule)
