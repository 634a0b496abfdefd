"""Statements of shares are judged apart from who hears them: exact ones are worth what shares can be, and nonsense nothing."""

import math

import numpy as np
import pytest

from evals.task import create_task
from evals.tasks.evidence import posterior, read_lines, shares
from evals.tasks.optima import optima
from evals.witnesses.stated import meant, stated

QUESTIONS = 2000


@pytest.fixture(scope="module")
def asked():
    """Return the world, and question → lines and hidden string."""
    task = create_task("witnesses:four_mid")
    samples = task.load(QUESTIONS).samples
    lines = {sample.id: read_lines(sample.question) for sample in samples}
    return task.world, lines, {sample.id: sample.target for sample in samples}


def judged(asked, said):
    """Return how statements are judged, and the share of right strings after them."""
    world, lines, targets = asked
    found, answers = stated(world, said, lines)
    return found, np.mean([answers[question] == target for question, target in targets.items()])


def exactly(asked):
    world, lines, _ = asked
    return {question: shares(world, posterior(world, seen[1])) for question, seen in lines.items()}


def test_exact_statements_are_worth_what_shares_can_be(asked):
    found, right = judged(asked, exactly(asked))
    assert (found.readable, found.exact) == (1, 1)
    # A digit stands for the middle of its tenth, at most half a tenth away, and shares that are normed once more.
    assert 0 < found.error < 0.05
    assert right == pytest.approx(optima(asked[0]).strings()["shares"], abs=0.03)


def test_a_digit_that_is_off_is_counted_and_costs_what_it_misleads(asked):
    said = exactly(asked)
    off = {q: text[:1] + str(9 - int(text[1])) + text[2:] for q, text in said.items()}
    (found, misled), (best, right) = judged(asked, off), judged(asked, said)
    # One digit of sixteen, and no digit is its own complement.
    assert found.exact == pytest.approx(15 / 16)
    assert found.error > best.error
    assert misled < right - 0.05


def test_what_is_no_statement_is_worth_nothing(asked):
    said = exactly(asked)
    found, right = judged(asked, dict.fromkeys(said, "abca"))
    assert found.readable == 0
    assert math.isnan(found.exact)
    assert math.isnan(found.error)
    assert right == pytest.approx(optima(asked[0]).strings()["single"], abs=0.03)
    some, _ = judged(asked, {q: "abca" if place % 2 else text for place, (q, text) in enumerate(said.items())})
    assert (some.readable, some.exact) == (0.5, 1)
    np.testing.assert_array_equal(meant(np.array([[0, 9]])), [[0.05, 0.95]])
