"""Beliefs over options: read out of a CIPHER message, made of log-likelihoods, and scored."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.beliefs.belief import Belief
from agents.errors import BeliefError
from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message
from debate.decision.option_reading import read_options
from evals.scoring.belief_score import score_belief

WORDS = {
    0: " A",
    1: "B",
    2: " C",
    3: " the",
    4: "A",
    5: " Yes",
    6: "No",
    7: " in",
    8: "valid",
    9: " valid",
    10: "pple",
    11: "是",
}


def message(fingerprint, *steps):
    """Return a CIPHER message of steps, each nearest token and token → probability, two or three of them kept."""
    width = max(len(kept) for _, kept in steps)
    ids = torch.zeros(len(steps), width, dtype=torch.int64)
    weights = torch.zeros(len(steps), width)
    for step, (_, kept) in enumerate(steps):
        for place, (token, weight) in enumerate(sorted(kept.items(), key=lambda pair: -pair[1])):
            ids[step, place], weights[step, place] = token, weight
    nearest = torch.tensor([near for near, _ in steps])
    ones = torch.ones(len(steps))
    cipher = Cipher(torch.zeros(len(steps), fingerprint.width), nearest, ones, ones, ids, weights)
    text = "".join(WORDS[near] for near, _ in steps)
    return Message(text, fingerprint, 1.0, tuple(nearest.tolist()), "expectation", cipher)


@pytest.fixture
def fingerprint(mock):
    return mock.fingerprint


@pytest.fixture
def mock():
    from agents.backends.mock import MockBackend

    return MockBackend(model="mock")


def test_a_messages_belief_is_that_of_its_last_option(fingerprint):
    assert isinstance(fingerprint, ModelFingerprint)
    said = message(fingerprint, (1, {1: 0.9, 0: 0.1}), (0, {0: 0.3, 4: 0.3, 1: 0.2}), (3, {3: 0.9}))
    found = read_options(said, "ABC", lambda _, token: WORDS.get(token))
    assert found is not None
    # " A" and "A" are one option; "C" was not kept.
    assert found.probabilities == pytest.approx({"A": 0.75, "B": 0.25})
    assert (found.step, found.missing, found.is_exact) == (1, ("C",), False)
    assert found.mass == pytest.approx(0.8)
    words = message(fingerprint, (5, {5: 0.6, 6: 0.2}))
    found = read_options(words, ("Yes", "No"), lambda _, token: WORDS.get(token))
    assert found is not None
    assert found.is_exact
    assert score_belief(found.probabilities, "Yes").probability == pytest.approx(0.75)
    assert read_options(message(fingerprint, (3, {3: 1.0})), "ABC", lambda _, token: WORDS.get(token)) is None
    assert read_options(Message("A", fingerprint, 1.0), "ABC", lambda _, token: WORDS.get(token)) is None


@pytest.mark.parametrize(
    ("steps", "options", "step"),
    [
        # "invalid" is no option of one token, and is not read as "valid".
        ([7, 8], ("valid", "invalid"), None),
        ([9, 7, 8], ("valid", "invalid"), None),
        ([7, 8, 9], ("valid", "invalid"), 2),
        # The token A begins " Apple", which is no option.
        ([1, 0, 10], "ABC", 0),
        ([0, 10, 2], "ABC", 2),
        ([0, 0, 10], "ABC", None),
        ([0, 10, 0], "ABC", 2),
        # Words of Chinese are not set apart by spaces.
        ([3, 11, 4, 11], "ABC", 2),
    ],
)
def test_an_option_within_a_word_is_not_read(fingerprint, steps, options, step):
    said = message(fingerprint, *((token, {token: 0.9, 3: 0.1}) for token in steps))
    found = read_options(said, options, lambda _, token: WORDS.get(token))
    assert (found.step if found else None) == step
    if found:
        assert set(found.probabilities) == {WORDS[steps[step]].strip()}


def test_scores_of_a_belief():
    score = score_belief({"A": 0.5, "B": 0.25, "C": 0.25}, "B")
    assert (score.top, score.correct, score.probability) == ("A", False, 0.25)
    assert score.nll == pytest.approx(math.log(4))
    assert score.brier == pytest.approx(0.75**2 + 0.5**2 + 0.25**2)
    assert score.entropy == pytest.approx(1.5 * math.log(2))
    lost = score_belief({"A": 1.0}, "B")
    assert (lost.probability, lost.brier) == (0.0, 2.0)
    for wrong in ({}, {"A": -1, "B": 2}, {"A": 0.5}, {"A": math.nan}):
        with pytest.raises(ValueError, match="distribution"):
            score_belief(wrong, "A")


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.floats(-500, 0), min_size=1))
def test_log_likelihoods_make_a_distribution(given_values):
    labels, values = tuple(given_values), list(given_values.values())
    belief = Belief.from_log_likelihoods(labels, values)
    assert max(belief.probabilities) == belief.probabilities[values.index(max(values))]
    shifted = Belief.from_log_likelihoods(labels, [value - 1000 for value in values])
    assert shifted.probabilities == pytest.approx(belief.probabilities, abs=1e-9)


def test_what_are_no_log_likelihoods():
    assert Belief.from_log_likelihoods("AB", [-math.inf, -1.0]).probabilities == (0.0, 1.0)
    for wrong in ((), (math.nan,), (-math.inf,)):
        with pytest.raises(BeliefError, match="log-likelihoods"):
            Belief.from_log_likelihoods("A"[: len(wrong)], wrong)
