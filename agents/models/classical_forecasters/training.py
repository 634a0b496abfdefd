"""The recipe: ETTh1, 96 hours seen and 96 forecast, all variates by one map; the penalty and the spread from validation months.

Nothing is drawn, so that there are no training seeds, and no claim of a paper is checked: it tells the test errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from agents.beliefs.claims import Claim
from agents.errors import MissingDependency
from agents.models.checkpoint import CONFIG
from agents.models.classical_forecasters.backend import ClassicalForecaster
from agents.models.classical_forecasters.model import LinearForecast, seasonal_naive
from agents.models.forecasts.ett import read_ett, windows
from agents.models.forecasts.network import covered, error, fit_spread, scale
from agents.pretrained import Progress


@dataclass(frozen=True)
class Recipe:
    """How they are fitted.

    Attributes:
        lookback, horizon, period: in hours.
        penalties: of the ridge, of which the one with the least validation error is taken.
    """

    lookback: int = 96
    horizon: int = 96
    period: int = 24
    penalties: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0, 10_000.0)


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Fit both, keep them as `out`/ridge and `out`/seasonal_naive, tell their test errors, and return no claims.

    Args:
        out: what is there is not fitted again.
        seeds: not used; nothing is drawn.
        data: folder of ETT.
        progress: told of what was found.
    """
    recipe = Recipe()
    values, names = read_ett(data)
    test = windows(values, "test", recipe.lookback, recipe.horizon)
    validation = windows(values, "validation", recipe.lookback, recipe.horizon)
    for rule in ("seasonal_naive", "ridge"):
        folder = out / rule
        if not (folder / CONFIG).is_file():
            if rule == "ridge":
                made = ridge(windows(values, "train", recipe.lookback, recipe.horizon), validation, recipe, progress)
            else:
                made = seasonal_naive(recipe.lookback, recipe.horizon, recipe.period)
            fit_spread(made, validation)
            ClassicalForecaster(made, variate=names[-1]).save_pretrained(folder)
        model = ClassicalForecaster.from_pretrained(str(folder)).model
        progress(f"{rule}: test error {error(model, test):.3f}, {covered(model, test):.3f} of the values inside 90 %")
    return []


def ridge(train: Sequence[Tensor], validation: Sequence[Tensor], recipe: Recipe, progress: Progress) -> LinearForecast:
    """Return the map of the penalty that is best in validation.

    Least squares of what came next on the window, both standardised by the window and weighted by its variance, so that the
    error is that of the values; one example a window and variate (Hoerl and Kennard, 1970).
    """
    try:
        from sklearn.linear_model import Ridge
    except ImportError as error_:
        raise MissingDependency("the recipe of classical_forecasters", "scikit-learn", "series") from error_
    mean, deviation = scale(train[0])
    seen, next_ = (((part - mean) / deviation).transpose(1, 2).flatten(0, 1).numpy() for part in train[:2])
    weights = deviation.pow(2).flatten().numpy()
    found: list[tuple[float, LinearForecast]] = []
    for penalty in recipe.penalties:
        fitted = Ridge(alpha=penalty).fit(seen, next_, sample_weight=weights)
        made = LinearForecast(recipe.lookback, recipe.horizon)
        made.weights.copy_(torch.from_numpy(fitted.coef_))
        made.offset.copy_(torch.from_numpy(fitted.intercept_))
        found.append((error(made, validation), made))
        progress(f"ridge, penalty {penalty:g}: validation error {found[-1][0]:.4f}")
    return min(found, key=lambda pair: pair[0])[1]
