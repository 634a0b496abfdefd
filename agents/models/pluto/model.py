"""The network: a vision transformer whose patches have any of several sizes, and heads on its frozen tokens.

Heads are of three scales: a tile's cell, of the class token beside the mean of its patches; each patch's own cell, or none; and
a slide, of all its tiles by additive multiple-instance learning (Javed et al., 2022, arXiv:2206.01794), in which what each tile
adds to the score is a number. The paper's instances are boxes and masks of Mask R-CNN and Mask2Former; a patch's belief is
neither.

B batch, S side in pixels, N patches, D width, T tiles, K labels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.pluto.config import PLUTOConfig
from agents.models.pluto.resizing import resized_kernel, resized_positions
from agents.models.vision.layers import EPSILON, Block, begin, start


class Encoder(nn.Module):
    """Tokens of tiles."""

    def __init__(self, config: PLUTOConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.patches = nn.Conv2d(3, width, config.kernel, config.kernel)
        self.cls_token, self.masked = start(1, 1, width), start(1, 1, width)
        self.positions = start(1, config.grid**2, width)
        self.blocks = nn.ModuleList(Block(width, config.heads, config.hidden) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        begin(self)

    def embedded(self, pixels: Tensor, patch: int) -> Tensor:
        """Return patches as tokens without positions [B, N, D] of standardised pictures [B, 3, H, H]."""
        kernel = resized_kernel(self.patches.weight, patch, self.config.resizing)
        return functional.conv2d(pixels, kernel, self.patches.bias, stride=patch).flatten(2).transpose(1, 2)

    def forward(
        self, pixels: Tensor, patch: int, *, hidden: Tensor | None = None, kept: Tensor | None = None
    ) -> Tensor:
        """Return the class token and patches [B, 1 + N, D] of standardised pictures.

        Args:
            pixels: [B, 3, H, H]; H is a multiple of the patch, and positions are resized to it.
            patch: side of a patch.
            hidden: [B, N] bool, patches in whose place the token of masked ones stands.
            kept: [B, M] places of the patches that are looked at at all; then M stands for N in what is returned.
        """
        tokens = self.embedded(pixels, patch)
        if hidden is not None:
            tokens = torch.where(hidden[..., None], self.masked, tokens)
        tokens = tokens + resized_positions(self.positions, pixels.shape[-1] // patch)
        if kept is not None:
            tokens = tokens.gather(1, kept[..., None].expand(-1, -1, tokens.shape[-1]))
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        found: Tensor = self.norm(tokens)
        return found


class SlideHead(nn.Module):
    """Scores of a slide, a sum over its tiles of what each adds (additive MIL, equation 4).

    A tile's features are weighted by attention, softmax over the tiles of wᵀ tanh(V h) (Ilse et al., 2018, arXiv:1802.04712,
    equation 8), and each weighted tile has scores of its own, which are added up. Of the pool `mean` the tiles' mean is scored.
    """

    def __init__(self, features: int, attention: int, classes: int, pool: str) -> None:
        super().__init__()
        self.pool = pool
        # Of the features that it was fitted on.
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.seen, self.weight = nn.Linear(features, attention), nn.Linear(attention, 1, bias=False)
        self.first, self.scores = nn.Linear(features, attention), nn.Linear(attention, classes)
        begin(self)

    def added(self, tiles: Tensor) -> Tensor:
        """Return what each tile adds [..., T, K] of features [..., T, F]; of `mean`, [..., 1, K] of all."""
        tiles = (tiles - self.mean) / self.deviation
        if self.pool == "mean":
            found: Tensor = self.scores(torch.tanh(self.first(tiles.mean(-2, keepdim=True))))
            return found
        count = tiles.shape[-2]
        weights = torch.softmax(self.weight(torch.tanh(self.seen(tiles))), -2)
        # Weights of a mean of 1, so that a tile's features are of the same size in slides of many tiles and of few.
        scored: Tensor = self.scores(torch.tanh(self.first(count * weights * tiles)))
        return scored / count

    def forward(self, tiles: Tensor) -> Tensor:
        """Return the scores [..., K] of the features of a slide's tiles [..., T, F]."""
        return self.added(tiles).sum(-2)


class PLUTO(nn.Module):
    """Scores of a tile's cell, of each patch's, and of a slide."""

    def __init__(self, config: PLUTOConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.cell = nn.Linear(self.feature_width, len(config.labels))
        self.patch_cell = nn.Linear(config.width, len(config.labels) + 1)
        self.slide = SlideHead(self.feature_width, config.attention, len(config.slide_labels), config.pool)
        begin(self)

    @property
    def feature_width(self) -> int:
        """F: the class token beside the mean of the patches."""
        return 2 * self.config.width

    def features(self, pixels: Tensor, patch: int) -> Tensor:
        """Return what the head of tiles sees [B, F] of standardised tiles [B, 3, S, S]."""
        return pooled(self.encoder(pixels, patch))

    def forward(self, pixels: Tensor, patch: int | None = None) -> Tensor:
        """Return the scores [B, K] of the cell in standardised tiles [B, 3, S, S], patches of the kernel's size by default."""
        found: Tensor = self.cell(self.features(pixels, patch or self.config.kernel))
        return found


def pooled(tokens: Tensor) -> Tensor:
    """Return the class token beside the mean of the patches [B, 2 D] of tokens [B, 1 + N, D]."""
    return torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], -1)
