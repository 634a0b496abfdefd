"""Observations, beliefs, pools: what they refuse, and their arithmetic against what it should be."""

import math
from itertools import pairwise

import pytest
import torch

from agents.beliefs.belief import Belief, Gaussian
from agents.beliefs.pooling import linear, product
from agents.errors import BeliefError, ObservationError
from agents.observation import MODALITIES, Audio, Document, Image, Series, Table, Text
from agents.question import Question

AB = ("a", "b")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Audio(torch.tensor([0.0, float("nan")]), 8000),
            r"audio has a number that is not finite, first at \[1\]",
        ),
        (lambda: Audio(torch.zeros(1, 8), 8000), r"audio is \[L\] in float32; got \[1, 8\] in float32"),
        (lambda: Audio(torch.zeros(8, dtype=torch.float64), 8000), r"got \[8\] in float64"),
        (lambda: Audio(torch.zeros(8), 0), "rate_hz must be at least 1; got 0"),
        (lambda: Image(torch.full((1, 2, 2), 255.0)), "between 0 and 1; divide bytes by 255"),
        (lambda: Image(torch.zeros(2, 4, 4)), "1 or 3 channels; got 2"),
        (lambda: Series(torch.zeros(4, 2), ("x",)), "2 columns and 1 names"),
        (lambda: Table(torch.zeros(3, 1), ("x",), ("0",)), "3 rows and 1 labels"),
        (lambda: Document(("line",), torch.zeros(2, 4)), r"1 lines and boxes \[2, 4\]"),
        (
            lambda: Document(("a", "b"), torch.tensor([[0.0, 0, 1, 1], [0.5, 0, 0.25, 1]])),
            r"shares of the page, from 0 to 1; box 1 is \[0.5, 0.0, 0.25, 1.0\]",
        ),
        (
            lambda: Question("case", "?", (Text("a"), Text("b"))),
            "at most one observation of a modality; got text, text",
        ),
    ],
)
def test_an_observation_that_cannot_be_is_a_sentence(make, sentence):
    with pytest.raises(ObservationError, match=sentence):
        make()


def test_every_modality_can_be_empty_and_a_question_is_a_text():
    nothing = [
        Text("  "), Image(torch.zeros(0, 0, 0)), Audio(torch.zeros(0), 1), Series(torch.zeros(0, 1), ("x",)),
        Table(torch.zeros(1, 1), ("x",), ()), Document((), torch.zeros(0, 4)),
    ]  # fmt: skip
    assert [each.modality for each in nothing] == list(MODALITIES)
    assert all(each.is_empty for each in nothing)
    assert Question("case", "Why?").observation("text").text == "Why?"
    assert Question("case", "Why?").observation("audio") is None


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Belief(AB, (0.5, 0.6)), "sum to 1"),
        (lambda: Belief(AB, (1.0,)), "2 labels and 1 probabilities"),
        (lambda: Belief(("a", "a"), (0.5, 0.5)), "labels must be different"),
        (lambda: Belief.of(AB, (0.0, 0.0)), "not all 0"),
        (lambda: Belief.of(AB, (math.nan, 1.0)), "must be finite"),
        (lambda: Belief.certain(AB, "a").over(("b", "c")), "lacks 'a'"),
        (lambda: Gaussian(0.0, -1.0), "a variance at least 0"),
        (lambda: Gaussian(0.0, 1.0).over(AB, (1.0, 2.0)), "2 intervals need 1 ascending borders"),
        (lambda: Gaussian(0.0, 1.0).nearest(AB, (1.0, 1.0)), "must be different"),
        (lambda: product(prior=[0.0, 1.0])([Belief.certain(AB, "a")]), "a prior of 0"),
        (lambda: product(floor=0.7), "floor must lie between"),
    ],
)
def test_what_is_no_belief_is_a_sentence(make, sentence):
    with pytest.raises(BeliefError, match=sentence):
        make()


def test_temperature_sharpens_as_softmax_of_logits_does():
    belief = Belief.of(AB, (3.0, 1.0))
    logits = torch.tensor([3.0, 1.0], dtype=torch.float64).log()
    assert belief.at(0.5).probabilities == pytest.approx(torch.softmax(logits / 0.5, 0).tolist(), abs=1e-12)
    assert belief.at(0).probabilities == (1.0, 0.0)
    assert belief.at(1e-4).probabilities == pytest.approx((1.0, 0.0))
    assert belief.at(1) is belief
    assert Belief.abstain(AB, "why").at(0.3).best is None


def test_a_density_is_integrated_over_options():
    """Against the trapezium rule on the density itself, in float64."""
    mean, variance = 1.3, 0.49
    grid = torch.linspace(-8, 12, 200_001, dtype=torch.float64)
    density = torch.exp(-((grid - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    borders = (0.5, 1.5, 2.5)
    cuts = [-8.0, *borders, 12.0]
    want = [
        float(torch.trapezoid(density[inside], grid[inside]))
        for low, high in pairwise(cuts)
        if (inside := (grid >= low) & (grid <= high)) is not None
    ]
    found = Gaussian(mean, variance).over(("0", "1", "2", "3"), borders)
    assert found.probabilities == pytest.approx(want, abs=2e-4)
    assert sum(found.probabilities) == pytest.approx(1, abs=1e-12)
    # Options in any order: each has what lies nearest to it.
    options = Gaussian(mean, variance).nearest(("two", "nought", "one"), (2.0, 0.0, 1.0))
    assert dict(zip(options.labels, options.probabilities, strict=True)) == pytest.approx(
        {"nought": want[0], "one": want[1], "two": want[2] + want[3]}, abs=2e-4
    )
    assert Gaussian(1.5, 0.0).over(("0", "1", "2"), (0.5, 1.5)).best == "2"


def test_the_product_of_independent_evidence_is_bayes_rule():
    """Two sensors, conditionally independent given the label: pooled beliefs are the posterior from both readings."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        prior = torch.rand(3, generator=generator, dtype=torch.float64) + 0.1
        prior = prior / prior.sum()
        likelihoods = torch.rand(2, 3, generator=generator, dtype=torch.float64) + 0.05
        labels = ("x", "y", "z")
        each = [Belief.of(labels, (prior * likelihood).tolist()) for likelihood in likelihoods]
        both = prior * likelihoods[0] * likelihoods[1]
        pooled = product(prior=prior.tolist(), floor=1e-9)(each)
        assert pooled.probabilities == pytest.approx((both / both.sum()).tolist(), abs=1e-9)


def test_the_mean_of_certain_beliefs_is_the_vote():
    votes = [Belief.certain(AB, label) for label in "aab"]
    assert linear()(votes).probabilities == pytest.approx((2 / 3, 1 / 3))


def test_nobodys_certainty_is_a_veto():
    pooled = product(floor=1e-3)([Belief.certain(AB, "a"), Belief.of(AB, (1e-4, 1.0)), Belief.of(AB, (0.01, 0.99))])
    assert pooled.best == "b"
