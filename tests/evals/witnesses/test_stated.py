"""Statements of shares are judged apart from who hears them: exact ones are worth what shares can be, and nonsense nothing."""

import math
import random

import numpy as np
import pytest

from evals.task import create_task
from evals.tasks.evidence import World, draw_case, first_likeliest, pooled, posterior, read_lines, shares, tenths
from evals.tasks.optima import optima
from evals.witnesses.stated import Reader, stated

QUESTIONS = 2000


@pytest.fixture(scope="module")
def asked():
    return questions_of("four_mid")


def questions_of(world):
    """Return the world, and question → lines and hidden string."""
    task = create_task(f"witnesses:{world}")
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
    return {question: [shares(world, posterior(world, line)) for line in seen[1:]] for question, seen in lines.items()}


def test_exact_statements_are_worth_what_shares_can_be(asked):
    found, right = judged(asked, exactly(asked))
    assert (found.readable, found.exact) == (1, 1)
    assert found.error == pytest.approx(0, abs=1e-9)
    assert right == pytest.approx(optima(asked[0]).strings()["shares"], abs=0.03)


def test_a_digit_that_is_off_is_counted_and_costs_what_it_misleads(asked):
    said = exactly(asked)
    off = {q: [text[:1] + str(9 - int(text[1])) + text[2:]] for q, (text,) in said.items()}
    (found, misled), (best, right) = judged(asked, off), judged(asked, said)
    # One digit of sixteen, and no digit is its own complement.
    assert found.exact == pytest.approx(15 / 16)
    assert found.error > best.error
    assert misled < right - 0.05


def test_what_is_no_statement_is_worth_nothing(asked):
    said = exactly(asked)
    found, right = judged(asked, {question: ["abca"] for question in said})
    assert found.readable == 0
    assert math.isnan(found.exact)
    assert math.isnan(found.error)
    assert right == pytest.approx(optima(asked[0]).strings()["single"], abs=0.03)
    some, _ = judged(asked, {q: ["abca"] if place % 2 else text for place, (q, text) in enumerate(said.items())})
    assert (some.readable, some.exact) == (0.5, 1)


@pytest.mark.parametrize("name", ["eight_mid", "eight_low", "eight_high", "four_mid"])
def test_after_exact_statements_the_answers_are_those_of_bayes_where_digits_are_of_one_belief_each(name):
    asked = world, lines, _ = questions_of(name)
    assert optima(world).shares == pytest.approx(optima(world).bayes, abs=1e-12)
    found, answers = stated(world, exactly(asked), lines)
    assert found.error == pytest.approx(0, abs=1e-9)
    best = {q: first_likeliest(world, pooled([posterior(world, line) for line in seen])) for q, seen in lines.items()}
    assert answers == best


def test_digits_of_several_beliefs_stand_for_their_average():
    """In four_high the best answers after shares are less than Bayes', and are what the exact optimum of shares says."""
    asked = world, lines, _ = questions_of("four_high")
    found, right = judged(asked, exactly(asked))
    assert optima(world).shares < optima(world).bayes - 0.001
    assert found.exact == 1
    assert found.error > 1e-3
    assert right == pytest.approx(optima(world).strings()["shares"], abs=0.03)
    # What stands for digits is calibrated: of all places where they are stated, so often is the symbol the right one.
    read, held = Reader(world, 1), {}
    for question, seen in lines.items():
        digits = tenths(posterior(world, seen[1]))
        for row, belief, symbol in zip(digits, read(digits), asked[2][question], strict=True):
            held.setdefault(tuple(row), []).append((belief[0], symbol == "a"))
    chosen = max(held.values(), key=len)
    said, came = np.mean(chosen, axis=0)
    assert came == pytest.approx(said, abs=4 * math.sqrt(said * (1 - said) / len(chosen)))


def test_digits_that_no_belief_has_stand_for_the_middle_of_their_tenths(asked):
    read = Reader(asked[0], 1)
    np.testing.assert_allclose(read(np.array([[0, 9, 9, 0]])), [[0.025, 0.475, 0.475, 0.025]])


def test_three_witnesses_are_all_heard_and_one_alone_hears_nobody():
    world = World(symbols=4, length=3, noise=((2, 6), (2, 6), (3, 5)))
    cases = {str(n): draw_case(world, random.Random(n), "test") for n in range(1000)}
    lines = {q: case.lines for q, case in cases.items()}
    asked = world, lines, {q: case.string for q, case in cases.items()}
    said = exactly(asked)
    found, right = judged(asked, said)
    assert (found.readable, found.exact) == (1, 1)
    assert right == pytest.approx(optima(world).strings()["shares"], abs=0.045)
    _, two = judged(asked, {q: texts[:1] for q, texts in said.items()})
    assert two < right - 0.05
    alone = world.model_copy(update={"noise": world.noise[:1]})
    found, answers = stated(alone, dict.fromkeys(lines, ()), {q: seen[:1] for q, seen in lines.items()})
    assert math.isnan(found.readable)
    assert answers == {q: first_likeliest(world, posterior(world, seen[0])) for q, seen in lines.items()}
