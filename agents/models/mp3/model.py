"""A classifier of pictures, and what tells the places of its patches in pretraining.

B batch, S side, N patches, D width, K labels.
"""

import torch
from torch import Tensor, nn

from agents.models.blocks.encoder import Encoder
from agents.models.mp3.config import MP3Config
from agents.models.vision.layers import Patches, begin, start


class MP3(nn.Module):
    """Scores of labels: patches, positions if it has them, blocks in which all patches are keys, the mean, a linear head."""

    def __init__(self, config: MP3Config) -> None:
        super().__init__()
        self.config, width = config, config.encoder.width
        self.patches = Patches(config.patch, width)
        self.encoder = Encoder(config.encoder)
        self.positions = start(1, config.count, width) if config.positions else None
        self.head = nn.Linear(width, len(config.labels))
        begin(self)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the scores [B, K] of standardised pictures [B, 3, S, S]."""
        tokens = self.patches(pixels)
        if self.positions is not None:
            tokens = tokens + self.positions
        found: Tensor = self.head(self.encoder(tokens).mean(1))
        return found


class PlaceTeller(nn.Module):
    """Tells the places of a model's patches, with its patches and blocks and without its positions and head."""

    def __init__(self, model: MP3) -> None:
        super().__init__()
        self.patches, self.encoder = model.patches, model.encoder
        self.head = nn.Linear(model.config.encoder.width, model.config.count)
        begin(self.head)

    def forward(self, pixels: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the scores of places [B, N, N] of patches of pictures [B, 3, S, S]; `context` [B, N], which patches are keys."""
        found: Tensor = self.head(self.encoder(self.patches(pixels), context=context))
        return found


@torch.inference_mode()
def place_accuracy(teller: PlaceTeller, pixels: Tensor) -> float:
    """Return the share of patches of standardised pictures [B, 3, S, S] whose place is told, all patches being keys."""
    said = teller.eval()(pixels).argmax(-1)
    return float((said == torch.arange(said.shape[1])).float().mean())
