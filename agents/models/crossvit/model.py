"""The network (Chen et al., 2021, sections 3.2 and 3.3; github IBM/CrossViT, models/crossvit.py).

Two branches look at the same picture, one with small patches, one with large ones. At the end of each stage the class token
of each branch attends to the patches of the other, which costs as much as there are patches, and takes back what it found;
both look at what the other was before the exchange. Scores of both class tokens are averaged. Modules are named as in timm.

B batch, S side in pixels, N tokens, D width, E the other branch's, K labels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.crossvit.config import CrossViTConfig
from agents.models.vision.layers import EPSILON, Block, Patches, begin, start, with_class

BRANCHES = (0, 1)


class CrossAttention(nn.Module):
    """The first token attends to all, itself included."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.wq, self.wk, self.wv = (nn.Linear(width, width) for _ in range(3))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, 1, D] of [B, N, D]."""
        q, k, v = (
            layer(seen).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, seen in ((self.wq, x[:, :1]), (self.wk, x), (self.wv, x))
        )
        found: Tensor = self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return found


class Fusion(nn.Module):
    """What a class token makes of the patches of the other branch; no feed-forward layer follows."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, eps=EPSILON), CrossAttention(width, heads)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class token [B, 1, D] of itself and patches [B, N, D]."""
        found: Tensor = x[:, :1] + self.attn(self.norm1(x))
        return found


def between(width: int, other: int) -> nn.Sequential:
    """Return what brings a class token from one width to another."""
    return nn.Sequential(nn.LayerNorm(width, eps=EPSILON), nn.GELU(), nn.Linear(width, other))


class Stage(nn.Module):
    """Blocks of each branch, then the exchange (equations 3 to 6)."""

    def __init__(self, config: CrossViTConfig) -> None:
        super().__init__()
        widths, heads = config.widths, config.heads
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(widths[i], heads, config.hidden[i]) for _ in range(config.depths[i])))
            for i in BRANCHES
        )
        self.fused = config.fused
        if self.fused:
            others = widths[::-1]
            self.projs = nn.ModuleList(between(widths[i], others[i]) for i in BRANCHES)
            self.fusion = nn.ModuleList(Fusion(others[i], heads) for i in BRANCHES)
            self.revert_projs = nn.ModuleList(between(others[i], widths[i]) for i in BRANCHES)

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        """Return the tokens of both branches, [B, N, D] each, of those before."""
        seen = [self.blocks[i](branches[i]) for i in BRANCHES]
        if not self.fused:
            return seen
        return [torch.cat([self._exchanged(i, seen), seen[i][:, 1:]], 1) for i in BRANCHES]

    def _exchanged(self, i: int, seen: Sequence[Tensor]) -> Tensor:
        """Return the class token [B, 1, D] of a branch after it has looked at the patches [B, N, E] of the other."""
        own = self.projs[i](seen[i][:, :1])
        found: Tensor = self.revert_projs[i](self.fusion[i](torch.cat([own, seen[1 - i][:, 1:]], 1)))
        return found


class CrossViT(nn.Module):
    """Scores of labels, of a picture."""

    def __init__(self, config: CrossViTConfig) -> None:
        super().__init__()
        self.config, widths = config, config.widths
        self.patch_embed = nn.ModuleList(Patches(config.patches[i], widths[i], stem=config.stem) for i in BRANCHES)
        self.pos_embed_0, self.pos_embed_1 = (start(1, 1 + config.counts[i], widths[i]) for i in BRANCHES)
        self.cls_token_0, self.cls_token_1 = (start(1, 1, widths[i]) for i in BRANCHES)
        self.blocks = nn.Sequential(*(Stage(config) for _ in range(config.stages)))
        self.norm = nn.ModuleList(nn.LayerNorm(width, eps=EPSILON) for width in widths)
        self.head = nn.ModuleList(nn.Linear(width, len(config.labels)) for width in widths)
        begin(self)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the scores [B, K] of standardised pictures [B, 3, S, S]."""
        return self.scores(self.features(pixels))

    @property
    def feature_width(self) -> int:
        """D + E."""
        return sum(self.config.widths)

    def features(self, pixels: Tensor) -> Tensor:
        """Return what heads see of standardised pictures, the class tokens of both branches beside each other [B, D + E]."""
        branches = self.blocks(self.tokens(pixels))
        return torch.cat([self.norm[i](branches[i][:, 0]) for i in BRANCHES], -1)

    def scores(self, features: Tensor) -> Tensor:
        """Return the scores [B, K] of features [B, D + E], averaged over both heads."""
        parts = torch.split(features, list(self.config.widths), -1)
        return torch.stack([self.head[i](parts[i]) for i in BRANCHES]).mean(0)

    def tokens(self, pixels: Tensor) -> list[Tensor]:
        """Return the tokens [B, 1 + N, D] that each branch begins with; a branch of another side sees a scaled picture."""
        found = []
        parameters = ((self.cls_token_0, self.pos_embed_0), (self.cls_token_1, self.pos_embed_1))
        for i, (own, positions) in enumerate(parameters):
            side = self.config.sides[i]
            seen = pixels
            if pixels.shape[-1] != side:
                seen = functional.interpolate(pixels, size=(side, side), mode="bicubic", align_corners=False)
            found.append(with_class(self.patch_embed[i](seen), own, positions))
        return found
