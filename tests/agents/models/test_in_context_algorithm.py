"""Which estimator a network follows: comparators against a library's, distances by hand, probes of states that are known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.beliefs.curves import SUFFIX, Curves, read_curves, write_curves
from agents.errors import ConfigError, ModelError
from agents.models.checkpoint import save_model
from agents.models.in_context import algorithm, distances, estimators, followed, probes, training
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.families import draw, kinds_of
from agents.models.in_context.looped import LoopedConfig
from agents.models.in_context.looped_training import LoopedRecipe, looped_learner
from agents.models.in_context.model import Learner, Said
from agents.models.in_context.training import Recipe, gaussian_loss, squared_loss
from evals.analysis import plots


def drawn(functions=40, points=13, *, noise=0.0, seed=0):
    return draw(kinds_of("linear", 4, noise=noise), functions, points, torch.Generator().manual_seed(seed))


def small(**options):
    torch.manual_seed(0)
    return Learner(LearnerConfig(("linear",), width=16, layers=2, heads=2, **options)).eval()


# --- comparators


def test_comparators_are_the_librarys_on_the_same_prefixes():
    """The published code calls scikit-learn at every prefix (github google-research, incontext/algos.py); fewer examples than
    dimensions have the shortest weights in both."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    from sklearn.neighbors import KNeighborsRegressor

    points = drawn(functions=6, noise=0.3)
    pairs = [
        (estimators.ols(), lambda k: linear_model.LinearRegression(fit_intercept=False)),
        (estimators.ridge(penalty=0.5), lambda k: linear_model.Ridge(alpha=0.5, fit_intercept=False)),
        (estimators.neighbours(count=5), lambda k: KNeighborsRegressor(min(5, k))),
    ]
    counts = range(1, 13)
    for ours, theirs in pairs:
        found = distances.online(ours, points, counts)
        for b in range(6):
            x, y = points.x[b].numpy(), points.y[b].numpy()
            want = [float(theirs(k).fit(x[:k], y[:k]).predict(x[k : k + 1])[0]) for k in counts]
            assert found[b].tolist() == pytest.approx(want, abs=1e-9)


def test_one_pass_is_one_step_an_example():
    points = drawn(functions=3, noise=0.3)
    found = estimators.one_pass_weights(points.x, points.y, rate=0.05)
    for b in range(3):
        w = np.zeros(4)
        for x, y in zip(points.x[b].numpy(), points.y[b].numpy(), strict=True):
            w = w - 0.05 * (w @ x - y) * x
        assert found[b].tolist() == pytest.approx(w.tolist())
    # Of one example it is a step of plain descent.
    one, step = estimators.stochastic_gradient_descent(rate=0.3), estimators.gradient_descent(steps=1, rate=0.3)
    first = points.x[:, :1], points.y[:, :1], points.x[:, 1:]
    assert torch.allclose(one(*first), step(*first))
    with pytest.raises(ConfigError, match="rate must be above 0; got 0"):
        estimators.stochastic_gradient_descent(rate=0)


def test_the_exact_beliefs_mean_is_ridge_with_the_noises_penalty():
    points = drawn(noise=0.5)
    mean = distances.posterior_mean(kinds_of("linear", 4, noise=0.5))
    counts = range(1, 13)
    want = distances.online(estimators.ridge(penalty=0.5**2 * 4), points, counts)
    assert torch.allclose(distances.online(mean, points, counts), want)
    assert distances.EXACT in distances.comparators(kinds_of("linear", 4, noise=0.5))
    assert distances.EXACT not in distances.comparators(kinds_of("linear", 4, noise=0.0))
    for noise in (0.25, 0.5, 1.0):
        points, exact = drawn(200, noise=noise), distances.posterior_mean(kinds_of("linear", 4, noise=noise))
        found = distances.nearest_penalty(exact, points, range(4, 13), algorithm.PENALTIES)
        assert found == 4 * noise**2


# --- distances


def test_a_network_is_a_rule_that_sees_no_label_before_its_time():
    learner, points = small(), drawn()
    with torch.inference_mode():
        whole = learner(points.x.float(), points.y.float()).mean.double()
    found = distances.online(distances.rule_of(learner), points, range(1, 13))
    assert torch.allclose(found, whole[:, 1:], atol=1e-5)
    # Several questions about the same examples are each asked alone.
    asked = drawn(seed=1).x[:, :5]
    many = distances.rule_of(learner)(points.x[:, :6], points.y[:, :6], asked)
    for q in range(5):
        alone = distances.rule_of(learner)(points.x[:, :6], points.y[:, :6], asked[:, q : q + 1])
        assert torch.allclose(many[:, q : q + 1], alone, atol=1e-5)


def test_distances_are_means_of_squares_and_a_comparators_nearest_member_stands_for_it():
    points = drawn(400)
    ridge = estimators.ridge(penalty=0.5)
    found = distances.distances(ridge, distances.comparators(), points, [2, 8])
    assert [each.member for each in found[distances.RIDGE]] == ["penalty 0.5"] * 2
    assert found[distances.RIDGE][1].squared == pytest.approx(0)
    apart = distances.online(ridge, points, [2, 8]) - distances.online(estimators.ols(), points, [2, 8])
    want = apart[200:].square().mean(0).tolist()
    assert [each.squared for each in found[distances.LEAST_SQUARES]] == pytest.approx(want)
    assert (
        distances.followed(estimators.neighbours(count=2), distances.comparators(), points, [4, 8])[0]
        == "nearest neighbours"
    )
    step = estimators.gradient_descent(steps=5, rate=0.3)
    assert distances.followed(step, distances.comparators(), points, [4, 8]) == ("gradient descent, 5 steps", 0)
    with pytest.raises(ConfigError, match="must lie from 1 to 12; got .13."):
        distances.online(ridge, points, [13])


def test_implied_weights_are_a_linear_rules_own_and_spd_is_their_distance():
    """For x ~ N(0, I) E (Δw · x)² = ‖Δw‖²."""
    points = drawn(30)
    asked = torch.randn(30, 20_000, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x, y = points.x[:, :6], points.y[:, :6]
    one, share = distances.implied_weights(estimators.ridge(penalty=1.0), x, y, asked)
    two, _ = distances.implied_weights(estimators.gradient_descent(steps=1, rate=0.5), x, y, asked)
    assert torch.allclose(one, estimators.ridge_weights(x, y, 1.0))
    assert torch.allclose(share, torch.ones(30).double())
    said = [
        rule(x, y, asked) for rule in (estimators.ridge(penalty=1.0), estimators.gradient_descent(steps=1, rate=0.5))
    ]
    assert distances.weight_distance(one, two) == pytest.approx(float((said[0] - said[1]).square().mean()), rel=0.02)
    _, curved = distances.implied_weights(estimators.neighbours(count=1), x, y, asked)
    assert float(curved.mean()) < 0.8
    with pytest.raises(ConfigError, match="more questions than dimensions; got 4, 4"):
        distances.implied_weights(estimators.ols(), x, y, asked[:, :4])


def test_predictors_are_compared_where_errors_mislead():
    """With as many examples as dimensions least squares errs most, and is as near to itself as anywhere."""
    points = drawn(2000, noise=0.5)
    said = distances.online(estimators.ols(), points, [2, 4, 12])
    error = (said - points.value[:, [2, 4, 12]]).square().mean(0)
    assert float(error[1]) > 3 * float(error.max(0).values if error.argmax() != 1 else error[0])
    assert distances.followed(estimators.ols(), distances.comparators(), points, [4])[0] == distances.LEAST_SQUARES


# --- training


def test_the_squared_loss_moves_variances_alone_beside_the_error():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance, y = (torch.randn(3, 5, generator=generator) for _ in range(3))
    mean.requires_grad_()
    log_variance.requires_grad_()
    squared_loss(Said(mean, log_variance, torch.zeros(3, 5, 0)), y).backward()
    assert torch.allclose(mean.grad, 2 * (mean - y).detach() / 15)
    slope = mean.detach(), log_variance.detach().requires_grad_()
    gaussian_loss(Said(*slope, torch.zeros(3, 5, 0)), y).backward()
    assert torch.allclose(log_variance.grad, 0.1 * slope[1].grad)


def test_a_noise_is_part_of_what_a_learner_was_trained_on():
    assert [kind.noise for kind in LearnerConfig(("linear",), noise=0.0).kinds()] == [0.0]
    assert [kind.noise for kind in LearnerConfig(("linear",)).kinds()] == [0.25]
    assert LearnerConfig(**LearnerConfig(("linear",), noise=0.5).sizes).noise == 0.5


def test_a_learner_of_another_recipe_is_not_taken_for_the_one_that_is_asked_for(tmp_path):
    tiny = Recipe(steps=1, batch=2, warmup=1)
    config = LearnerConfig(("linear",), width=16, layers=1, heads=2, points=5)

    def asked(**changed):
        return training.learner(tmp_path, replace(config, **changed), tiny, seed=0, progress=lambda said: None)

    assert asked().config == asked().config == config
    with pytest.raises(ConfigError, match="linear-0 has a learner with noise=None, and noise=0.5 is asked for; give"):
        asked(noise=0.5)
    looped = LoopedConfig(**config.sizes, loops=2)
    of_loops = LoopedRecipe(steps=1, batch=2, warmup=1)
    for loops in (2, 3):
        given = tmp_path, "plain", replace(looped, loops=loops), of_loops
        if loops == 2:
            assert looped_learner(*given, seed=0, progress=lambda said: None).config == looped
            continue
        with pytest.raises(ConfigError, match="loops=2, and loops=3 is asked for"):
            looped_learner(*given, seed=0, progress=lambda said: None)


# --- probes


def states_of(targets, *, squared):
    """Return prompts whose first layer is noise, and whose second has the targets, or their squares' roots, at one position."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(len(targets), 5, 8, generator=generator)
    known = noise.clone()
    known[:, 3, :2] = targets
    if squared:
        known[:, 3, :2] = targets.abs().sqrt() * torch.where(noise[:, 3, :2] > 0, 1.0, -1.0)
    return probes.Prompts((noise, known), {"weights": targets})


@pytest.mark.parametrize("squared", [False, True])
def test_a_probe_finds_what_is_there_and_a_linear_one_only_what_is_linear(squared):
    seen, fresh = (
        states_of(torch.randn(1500, 2, generator=torch.Generator().manual_seed(seed)).abs(), squared=squared)
        for seed in (0, 9)
    )
    found = {
        (layer, is_linear): probes.explained(seen, fresh, layer, "weights", is_linear=is_linear, seed=0)
        for layer, is_linear in ((0, True), (1, True), (1, False))
    }
    assert found[0, True] < 0.05
    assert found[1, False] > 0.7
    assert found[1, True] < 0.2 if squared else found[1, True] > 0.8


def test_prompts_have_the_moment_and_least_squares_weights():
    learner, points = small(), drawn(7, 9)
    found = probes.prompts(learner, points)
    assert len(found.states) == 3
    assert found.states[0].shape == (7, 9, 16)
    for b in range(7):
        x, y = points.x[b, :8].numpy(), points.y[b, :8].numpy()
        assert found.targets["moment"][b].tolist() == pytest.approx((x.T @ y / 8).tolist(), abs=1e-6)
        assert found.targets["weights"][b].tolist() == pytest.approx(
            np.linalg.lstsq(x, y, rcond=None)[0].tolist(), abs=1e-5
        )
    with torch.inference_mode():
        said = learner(points.x.float(), points.y.float()).mean
        again = learner.read_out(learner.norm(found.states[-1]))[..., 0]
    assert torch.equal(said, again)


# --- the recipe


def test_the_recipe_makes_its_claims_a_table_and_curves(tmp_path, monkeypatch):
    tiny = Recipe(steps=2, batch=4, warmup=1, loss="squared")
    for name in ("DEEP_RECIPE", "SHORT_RECIPE"):
        monkeypatch.setattr(algorithm, name, tiny)
    monkeypatch.setattr(algorithm, "DEEP", replace(algorithm.DEEP, width=16, heads=2, layers=2))
    monkeypatch.setattr(algorithm, "SHALLOW", replace(algorithm.SHALLOW, width=16, heads=2))
    for name, count in (("FRESH", 20), ("PROBED", 30), ("FUNCTIONS", 5)):
        monkeypatch.setattr(algorithm, name, count)
    monkeypatch.setattr(probes, "RECIPE", Recipe(steps=2, batch=8, warmup=1))
    found = algorithm.claims(tmp_path, seeds=1)
    assert {claim.text for claim in found} <= set(algorithm.ASKED)
    assert len(found) >= len(algorithm.ASKED) - 1
    (row,) = json.loads((tmp_path / "distances.json").read_text())
    assert len(row["3 layers"]["least squares"]) == 15
    assert len(row["weights"]["to least squares"]) == 15
    assert set(row["nearest penalty by noise"]) == {"0.25", "1"}
    curves = read_curves(tmp_path / f"in-context-algorithm{SUFFIX}")
    assert set(curves.lines) == set(distances.comparators())
    assert curves.places[-1] == 15
    assert all(math.isfinite(value) for rows in curves.lines.values() for row in rows for value in row)


def test_curves_are_drawn_and_what_does_not_fit_is_a_sentence(tmp_path):
    pytest.importorskip("matplotlib")
    curves = Curves(
        "examples", "distance", (1.0, 2.0), {"a & b": ((1.0, 2.0), (0.1, 0.2)), "c": ((1.0,), (3.0,))}, True
    )
    write_curves(tmp_path / "x.curves.json", curves)
    drawing = plots.curves(read_curves(tmp_path / "x.curves.json"))
    assert drawing == plots.curves(curves)
    assert drawing.startswith("<svg")
    assert "a &amp; b" in drawing
    with pytest.raises(ConfigError, match="'c' has figures of 2 places; there are 1"):
        Curves("", "", (1.0,), {"c": ((1.0,), (2.0,))})
    with pytest.raises(ConfigError, match="not finite"):
        Curves("", "", (1.0,), {"c": ((math.nan,),)})
    (tmp_path / "y.curves.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no curves in .*y\.curves\.json"):
        read_curves(tmp_path / "y.curves.json")


def test_what_the_shipped_network_follows_is_said_without_training(tmp_path, monkeypatch):
    monkeypatch.setattr(followed, "FUNCTIONS", 40)
    found = {claim.text: claim for claim in followed.claims(tmp_path, seeds=1)}
    assert set(found) == set(followed.ASKED)
    # Ridge regression, and not one step of descent; with as many examples as values least squares is elsewhere.
    assert found[followed.ONE_STEP].difference > 0
    assert found[followed.PEAK].difference > 0
    rows = json.loads((tmp_path / "followed.json").read_text())
    assert [row["noise"] for row in rows] == [0.1, 0.3, 1.0]
    assert len(read_curves(tmp_path / f"in-context-followed{SUFFIX}").places) == 15
    save_model(tmp_path / "other", *(lambda made: (made, made.config.sizes))(small()))
    followed.claims(tmp_path, seeds=1, data=tmp_path / "other")
    torch.manual_seed(0)
    both = Learner(LearnerConfig(("linear", "pair"), width=16, layers=1, heads=2))
    save_model(tmp_path / "both", both, both.config.sizes)
    with pytest.raises(
        ConfigError, match="saw linear, pair with 16 points of 4 values; this recipe asks about linear functions"
    ):
        followed.claims(tmp_path, seeds=1, data=tmp_path / "both")
