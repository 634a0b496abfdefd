"""Small models of series for tests, and series that they look at."""

from pathlib import Path
from typing import Any

import torch

from agents.observation import Series


def small_itransformer(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random iTransformer that sees eight steps and forecasts four."""
    from agents.models.itransformer.backend import ITransformerBackend
    from agents.models.itransformer.config import ITransformerConfig
    from agents.models.itransformer.model import ITransformer

    torch.manual_seed(seed)
    model = ITransformer(ITransformerConfig(lookback=8, horizon=4, width=16, hidden=16, depth=1, heads=2))
    model.spread.copy_(torch.tensor([0.5, 0.8, 1.0, 1.5]))
    ITransformerBackend(model, variate="x", step=3, borders=(-0.5, 0.0, 0.5)).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def small_ridge(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random linear map of eight steps to four."""
    from agents.models.classical_forecasters.backend import ClassicalForecaster
    from agents.models.classical_forecasters.model import LinearForecast

    model = LinearForecast(8, 4)
    model.weights.copy_(torch.randn(4, 8, generator=torch.Generator().manual_seed(seed)) / 3)
    model.spread.copy_(torch.tensor([0.5, 0.8, 1.0, 1.5]))
    ClassicalForecaster(model, variate="x", step=3, borders=(-0.5, 0.0, 0.5)).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def walk(length: int, variates: int = 3) -> Series:
    steps = torch.randn(length, variates, generator=torch.Generator().manual_seed(length))
    return Series(steps.cumsum(0), ("x", "y", "z", "u", "v")[:variates])
