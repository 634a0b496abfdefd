"""A network that forecasts, and how far off it is: errors over windows, the width of its belief, fitted where it did not learn.

B windows, L steps seen, H steps forecast, N variates.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

FLAT = 1e-5
NINETY = 1.6448536269514722


class ForecastNetwork(nn.Module):
    """Maps windows [B, L, N] to forecasts [B, H, N], in their units; a subclass says how.

    Args:
        lookback: L.
        horizon: H.
        marks: how many marks of time it reads beside a window, as its second argument [B, L, marks].
    """

    spread: Tensor
    """Deviations of its errors by step [H], in deviations of the window; fitted, not trained."""

    def __init__(self, lookback: int, horizon: int, marks: int = 0) -> None:
        super().__init__()
        self.lookback, self.horizon, self.marks = lookback, horizon, marks
        self.register_buffer("spread", torch.ones(horizon))


def scale(window: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the deviation [B, 1, N] of windows [B, L, N]; a flat one has a small deviation, not none."""
    mean = window.mean(1, keepdim=True).detach()
    return mean, ((window - mean).pow(2).mean(1, keepdim=True) + FLAT).sqrt().detach()


@torch.inference_mode()
def forecasts(model: nn.Module, split: Sequence[Tensor]) -> Tensor:
    """Return the forecasts [n, H, N] of a split's windows, as `windows` gives them: with their marks where it has some."""
    model.eval()
    seen, _, *marks = split
    batches = zip(*(torch.split(part, 256) for part in (seen, *marks)), strict=True)
    return torch.cat([model(*each) for each in batches])


def error(model: nn.Module, split: Sequence[Tensor]) -> float:
    """Return the mean squared error over windows, steps and variates."""
    return float(functional.mse_loss(forecasts(model, split), split[1]))


def fit_spread(model: ForecastNetwork, split: Sequence[Tensor]) -> None:
    """Set the model's spread by step so that nine tenths of a split's errors, in deviations of their windows, are inside 90 %.

    A quantile and no mean square: where a variate stood still and then moves, the error is hundreds of deviations.
    """
    _, deviation = scale(split[0])
    off = ((forecasts(model, split) - split[1]) / deviation).abs()
    model.spread.copy_(off.transpose(0, 1).flatten(1).quantile(0.9, dim=1) / NINETY)


def covered(model: ForecastNetwork, split: Sequence[Tensor]) -> float:
    """Return the share of a split's values that lie in the model's 90 % intervals."""
    _, deviation = scale(split[0])
    off = (forecasts(model, split) - split[1]).abs()
    return float((off <= NINETY * model.spread[:, None] * deviation).float().mean())
