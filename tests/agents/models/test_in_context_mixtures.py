"""Two families and what lies between: exact beliefs by enumeration of supports, messages about families, the recipe's claims."""

import itertools
import json
import math

import numpy as np
import pytest
import torch

from agents.beliefs.curves import SUFFIX, read_curves
from agents.errors import ConfigError
from agents.models.in_context import mixtures
from agents.models.in_context.backend import InContext
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.distances import online, posterior_mean
from agents.models.in_context.estimators import ridge
from agents.models.in_context.families import NOISE, between, draw, kinds_of, pair, sparse
from agents.models.in_context.family_messages import FORMS, family_regrets
from agents.models.in_context.messages import Setting
from agents.models.in_context.model import Learner
from agents.models.in_context.posterior import bayes, families
from agents.models.in_context.training import Recipe
from agents.question import Question
from evals.task import create_task


def drawn(kinds, functions=40, points=11, seed=0, **options):
    return draw(kinds, functions, points, torch.Generator().manual_seed(seed), **options)


def by_supports(x, y, asked, *, dims, noise):
    """Return P(pair), and the mean under `pair` alone: every support enumerated, numpy, by the normal equations of each."""
    evidence, means = [], []
    for support in itertools.combinations(range(dims), 2):
        part = x[:, support]
        # w ~ N(0, I / 2): E y yᵀ = part partᵀ / 2 + σ² I.
        covariance = part @ part.T / 2 + noise**2 * np.eye(len(y))
        evidence.append(-0.5 * (y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(covariance)[1]))
        w = np.linalg.solve(part.T @ part + 2 * noise**2 * np.eye(2), part.T @ y)
        means.append(asked[list(support)] @ w)
    covariance = x @ x.T / dims + noise**2 * np.eye(len(y))
    dense = -0.5 * (y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(covariance)[1])
    weights = np.exp(np.array(evidence) - max(evidence))
    sparse_evidence = max(evidence) + math.log(weights.mean())
    return 1 / (1 + math.exp(dense - sparse_evidence)), float(weights @ np.array(means) / weights.sum())


def test_exact_beliefs_are_those_of_every_support():
    both = kinds_of("linear_or_pair", 5)
    points = drawn(both, 8, 7)
    x, y, at = points.x[:, :-1], points.y[:, :-1], points.x[:, -1]
    share, mean = families(both, bayes(both, x, y, at))["pair"], bayes(pair(5), x, y, at).mean
    for b in range(8):
        want = by_supports(x[b].numpy(), y[b].numpy(), at[b].numpy(), dims=5, noise=NOISE)
        assert (float(share[b]), float(mean[b])) == pytest.approx(want, abs=1e-9)


def test_ridge_is_the_exact_mean_of_dense_functions_alone():
    penalty = mixtures.PENALTY
    for name, same in (("linear", True), ("pair", False)):
        points = drawn(kinds_of(name, 8))
        said = [online(rule, points, [8]) for rule in (ridge(penalty=penalty), posterior_mean(kinds_of(name, 8)))]
        assert torch.allclose(*said) is same


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_what_lies_between_is_the_sum_of_both_in_one_scale(share):
    kinds = between(8, share)
    assert math.fsum(kind.weight for kind in kinds) == pytest.approx(1)
    assert [float(kind.variance.sum()) for kind in kinds] == pytest.approx([1] * 28)
    # The sum of independent weights, drawn one by one.
    generator = torch.Generator().manual_seed(1)
    dense = torch.randn(200_000, 8, generator=generator).double() / math.sqrt(8)
    two = torch.zeros(200_000, 8).double()
    two[:, :2] = torch.randn(200_000, 2, generator=generator).double() / math.sqrt(2)
    w = ((1 - share) * dense + share * two) / math.sqrt((1 - share) ** 2 + share**2)
    assert w.square().mean(0).tolist() == pytest.approx(kinds[0].variance.tolist(), rel=0.03, abs=1e-9)
    ends = {0.0: [1 / 8] * 8, 1.0: [1 / 2] * 2 + [0] * 6}
    assert share not in ends or kinds[0].variance.tolist() == ends[share]


def test_the_families_have_one_scale_and_what_cannot_be_is_a_sentence():
    for kinds in (pair(8), sparse(8, used=4), sparse(8, used=8), between(8, 0.5)):
        points = drawn(kinds, 20_000, 2)
        assert float(points.value.square().mean()) == pytest.approx(1, abs=0.06)
    assert [float(kind.variance.sum()) for kind in sparse(8, used=8)] == [1]
    with pytest.raises(ConfigError, match="uses 2 of its weights has at least as many dimensions; got 1"):
        pair(1)
    with pytest.raises(ConfigError, match="share must lie from 0 to 1; got 1.5"):
        between(8, 1.5)
    with pytest.raises(ConfigError, match="write the families of the mixture: linear, pair"):
        LearnerConfig(("linear_or_pair",))


def test_the_lasso_is_the_librarys_and_finds_two_weights():
    pytest.importorskip("sklearn")
    points = drawn(pair(8), 3, 16)
    said = online(mixtures.lasso(), points, [15])[:, 0]
    dense = online(ridge(penalty=mixtures.PENALTY), points, [15])[:, 0]
    error, other = ((each - points.value[:, 15]).square().mean() for each in (said, dense))
    assert float(error) < float(other)


# --- messages


def network(families, seed=0):
    torch.manual_seed(seed)
    return Learner(LearnerConfig(families, dims=8, width=16, layers=1, heads=2)).eval()


def test_messages_about_a_family_are_worth_what_bayes_rule_makes_of_them():
    both = network(("linear", "pair"))
    experts = {name: network((name,), seed) for seed, name in enumerate(("linear", "pair"))}
    # A listener that knows nothing of the family: what it hears is what it believes.
    both.read_out.weight.data[2:].zero_()
    both.read_out.bias.data[2:].zero_()
    found = family_regrets(both, experts, Setting(NOISE, 6, 6, "linear_or_pair"), functions=150, seed=0)
    assert set(found) == {"family", "value"}
    assert tuple(found["family"]) == FORMS == tuple(found["value"])
    about = found["family"]
    assert about["exact, all examples"].nats == about["exact, all examples"].squared == 0
    assert about["belief"].nats == pytest.approx(about["percentages"].nats, abs=0.02)
    points = drawn(kinds_of("linear_or_pair", 8), 150, 13)
    kinds = kinds_of("linear_or_pair", 8)
    exact = families(kinds, bayes(kinds, points.x[:, :12], points.y[:, :12], points.x[:, 12]))["pair"]
    right = points.kind > 0
    best = -float(torch.where(right, exact, 1 - exact).clamp(min=1e-9).log().mean())
    assert about["alone"].nats == pytest.approx(math.log(2) - best, abs=1e-6)
    assert about["alone"].squared == pytest.approx(0.25 - float((exact - right.double()).square().mean()), abs=1e-6)
    assert about["belief"].nats < about["label"].nats < about["alone"].nats


def test_a_learner_of_two_families_says_which_and_is_in_the_shipped_debate():
    task = create_task("in_context:which_support")
    samples = task.samples(60)
    assert {sample.target for sample in samples} == {"linear", "pair"} == set(task.labels(samples[0]))
    assert samples[0].observations[0].values.shape == (13, 8)
    assert task.extract("Answer: pair") == "pair"
    assert "on all eight numbers of x (linear) or on two alone (pair)?" in samples[0].question
    assert create_task("in_context:pair").samples(1)[0].observations[0].values.shape == (13, 8)
    cases = [Question("case", "?", sample.observations) for sample in samples]
    exact = InContext("bayes", family="linear_or_pair", about="family").believe(cases)
    assert sum(belief.best == sample.target for belief, sample in zip(exact, samples, strict=True)) > 48


# --- the recipe


def test_the_recipe_makes_its_claims_a_table_and_curves(tmp_path, monkeypatch):
    monkeypatch.setattr(mixtures, "RECIPE", Recipe(steps=2, batch=4, warmup=1))
    small = {
        name: LearnerConfig(each.families, dims=8, width=16, layers=1, heads=2)
        for name, each in mixtures.CONFIGS.items()
    }
    monkeypatch.setattr(mixtures, "CONFIGS", small)
    for name, count in (("FRESH", 20), ("CURVE", 6), ("LASSO", 2), ("DEBATED", 4)):
        monkeypatch.setattr(mixtures, name, count)
    found = mixtures.claims(tmp_path, seeds=1)
    assert {claim.text for claim in found} <= set(mixtures.ASKED)
    assert len(found) >= len(mixtures.ASKED) - 2
    (row,) = json.loads((tmp_path / "mixtures.json").read_text())
    assert set(row["selection"]["pair"]) >= {
        "linear",
        "pair",
        "linear_or_pair",
        "ridge",
        "exact, both",
        "exact, this family",
    }
    assert list(row["outside"]["weights used"]) == ["2", "3", "4", "6", "8"]
    assert set(row["messages"]) == {"family", "value", "whole value"}
    assert len(read_curves(tmp_path / f"in-context-mixtures{SUFFIX}").lines["ridge"]) == 15
