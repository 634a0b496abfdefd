"""A linear map of a window, the same for every variate. B windows, L steps seen, H steps forecast, N variates."""

import torch
from torch import Tensor

from agents.models.forecasts.network import ForecastNetwork, scale


class LinearForecast(ForecastNetwork):
    """Forecasts each variate from its own window, standardised: W x + b, put back into its unit.

    Args:
        lookback: L.
        horizon: H.
    """

    weights: Tensor
    offset: Tensor

    def __init__(self, lookback: int, horizon: int) -> None:
        super().__init__(lookback, horizon)
        self.register_buffer("weights", torch.zeros(horizon, lookback))
        self.register_buffer("offset", torch.zeros(horizon))

    def forward(self, window: Tensor) -> Tensor:
        """Return the forecast [B, H, N] of windows [B, L, N], in their units."""
        mean, deviation = scale(window)
        found = torch.einsum("hl,bln->bhn", self.weights, (window - mean) / deviation) + self.offset[:, None]
        return found * deviation + mean


def seasonal_naive(lookback: int, horizon: int, period: int) -> LinearForecast:
    """Return the map that says what was last seen at the same place of the period (Hyndman and Athanasopoulos, 2021, 5.2)."""
    made = LinearForecast(lookback, horizon)
    steps = torch.arange(horizon)
    made.weights[steps, lookback - period + steps % period] = 1.0
    return made
