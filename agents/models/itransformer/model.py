"""The network (Liu et al., 2024; github thuml/iTransformer): each variate's window is one token, without positions.

A window is standardised by its own mean and deviation, and the forecast is put back, so that a variate's unit does not matter.

B batch, L steps seen, H steps forecast, N variates, D width.
"""

import torch
from torch import Tensor, nn

from agents.models.itransformer.config import ITransformerConfig

FLAT = 1e-5


class ITransformer(nn.Module):
    """Means of the next steps, and how far off they are as a rule."""

    spread: Tensor

    def __init__(self, config: ITransformerConfig) -> None:
        super().__init__()
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
        # Deviation of validation errors by step, in deviations of the window; not the paper's, and not trained.
        self.register_buffer("spread", torch.ones(config.horizon))

    def forward(self, window: Tensor) -> Tensor:
        """Return the forecast [B, H, N] of windows [B, L, N], in their units."""
        mean, deviation = scale(window)
        tokens = self.dropout(self.embedding(((window - mean) / deviation).transpose(1, 2)))
        found: Tensor = self.head(self.encoder(tokens)).transpose(1, 2) * deviation + mean
        return found


def scale(window: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the deviation [B, 1, N] of windows [B, L, N]; a flat one has a small deviation, not none."""
    mean = window.mean(1, keepdim=True).detach()
    return mean, ((window - mean).pow(2).mean(1, keepdim=True) + FLAT).sqrt().detach()
