"""The network (Liu et al., 2024; github thuml/iTransformer): each variate's window is one token, without positions.

A window is standardised by its own mean and deviation, and the forecast is put back, so that a variate's unit does not matter.
Marks of time, where it reads some, are tokens like the variates, as they are, and nothing is forecast of them. The width of its
belief is not the paper's.

B batch, L steps seen, H steps forecast, N variates, C marks, D width.
"""

import torch
from torch import Tensor, nn

from agents.models.forecasts.network import ForecastNetwork, scale
from agents.models.itransformer.config import ITransformerConfig


class ITransformer(ForecastNetwork):
    """Means of the next steps, and how far off they are as a rule."""

    def __init__(self, config: ITransformerConfig) -> None:
        super().__init__(config.lookback, config.horizon, config.marks)
        self.config = config
        self.embedding = nn.Linear(config.lookback, config.width)
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, config.hidden, config.dropout, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, config.depth, nn.LayerNorm(config.width), enable_nested_tensor=False
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, config.horizon)

    def forward(self, window: Tensor, marks: Tensor | None = None) -> Tensor:
        """Return the forecast [B, H, N] of windows [B, L, N], in their units, with the marks of their times [B, L, C]."""
        mean, deviation = scale(window)
        series = (window - mean) / deviation
        if marks is not None:
            series = torch.cat([series, marks], 2)
        tokens = self.dropout(self.embedding(series.transpose(1, 2)))
        found: Tensor = self.head(self.encoder(tokens)[:, : window.shape[2]]).transpose(1, 2) * deviation + mean
        return found
