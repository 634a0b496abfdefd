"""Yesterday again, ridge regression against its normal equations, the recipe on a small series."""

import math

import pytest
import torch
from support.random_models import generator
from support.small_data import SPLITS, ett

from agents.beliefs.cards import create_belief_backend
from agents.errors import ModelError
from agents.models.classical_forecasters import training
from agents.models.classical_forecasters.model import seasonal_naive
from agents.models.classical_forecasters.training import Recipe, claims, ridge
from agents.models.forecasts import ett as ett_series
from agents.models.forecasts.ett import read_ett, windows
from agents.models.forecasts.network import error, scale
from agents.observation import Series
from agents.question import Question

SMALL = Recipe(lookback=24, horizon=30, penalties=(0.1, 10.0))


def test_seasonal_naive_repeats_the_last_period():
    window = torch.randn(2, 12, 3, generator=generator()) * 5 + 20
    said = seasonal_naive(12, 7, 5)(window)
    want = torch.stack([window[:, 7 + step % 5] for step in range(7)], 1)
    assert torch.allclose(said, want, atol=1e-4)


def test_ridge_is_the_solution_of_its_normal_equations():
    """In float64: minimise Σ w |y − W x − b|² + α |W|² over windows and variates, w the window's variance, b free."""
    pytest.importorskip("sklearn")
    seen = torch.randn(50, 4, 2, generator=generator())
    next_ = torch.randn(50, 3, 2, generator=generator())
    recipe = Recipe(lookback=4, horizon=3, penalties=(2.0,))
    made = ridge((seen, next_), (seen, next_), recipe, lambda _: None)
    mean, deviation = scale(seen.double())
    x, y = (((part.double() - mean) / deviation).transpose(1, 2).flatten(0, 1) for part in (seen, next_))
    w = deviation.pow(2).flatten()[:, None]
    x_, y_ = x - (w * x).sum(0) / w.sum(), y - (w * y).sum(0) / w.sum()
    want = torch.linalg.solve(x_.T @ (w * x_) + 2.0 * torch.eye(4, dtype=torch.float64), x_.T @ (w * y_)).T
    assert torch.allclose(made.weights.double(), want, atol=1e-5)
    offset = ((w * y).sum(0) - want @ (w * x).sum(0)) / w.sum()
    assert torch.allclose(made.offset.double(), offset, atol=1e-5)


def test_the_recipe_keeps_both_and_ridge_is_better_than_yesterday(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(ett_series, "SPLITS", SPLITS)
    monkeypatch.setattr(training, "Recipe", lambda: SMALL)
    told: list[str] = []
    assert claims(tmp_path / "out", data=ett(tmp_path), progress=told.append) == []
    values, names = read_ett(tmp_path)
    test = windows(values, "test", 24, 30)
    found = {
        rule: create_belief_backend("classical_forecasters", checkpoint=str(tmp_path / "out" / rule))
        for rule in ("ridge", "seasonal_naive")
    }
    errors = {rule: error(backend.model, test) for rule, backend in found.items()}
    assert errors["ridge"] < errors["seasonal_naive"]
    assert told[-1].startswith(f"ridge: test error {errors['ridge']:.3f}")
    # What is there is not fitted again.
    again: list[str] = []
    claims(tmp_path / "out", data=tmp_path, progress=again.append)
    assert [line for line in told if "test error" in line] == again
    # A rhythm of a day: in half a day it is on the other side of its mean.
    series = Series(values[-24:].float(), names)
    for backend in found.values():
        backend.step = 12
        then, now = backend.forecast(series).mean, float(values[-1, -1])
        assert then - 10 == pytest.approx(10 - now, abs=1.5)
        (belief,) = backend.believe([Question("case", "?", (series,))])
        assert (belief.best in ("rise", "soar")) == (then > now)
        assert math.isclose(sum(belief.probabilities), 1.0)


def test_it_needs_a_checkpoint():
    with pytest.raises(ModelError, match="give checkpoint: FOLDER/ridge or FOLDER/seasonal_naive"):
        create_belief_backend("classical_forecasters")
