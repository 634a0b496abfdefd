"""The network (Han et al., 2021, section 2; github huawei-noah/Efficient-AI-Backbones, tnt_pytorch, as ported to timm).

A patch is a sentence of m words, small squares of pixels. In each block the words of a sentence attend to each other, by the
same weights in every sentence (equations 3 and 4); the sentence is told all of its words (equation 5); then sentences and
class token attend to each other (equations 6 and 7). Words have positions in their sentence, sentences in the picture.
Modules are named as in timm.

B batch, S side in pixels, n sentences, m words of width c, D width, K labels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.tnt.config import TNTConfig
from agents.models.vision.layers import Mlp, begin, start, with_class

KERNEL = 7
"""Of the convolution that makes words, in pixels."""


class Attention(nn.Module):
    """Everybody attends to everybody; queries, keys and values have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qk, self.v = nn.Linear(width, 2 * width, bias=False), nn.Linear(width, width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, N, D] of [B, N, D]."""
        q, k = self.qk(x).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        v = self.v(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        found: Tensor = self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return found


class Block(nn.Module):
    """The inner transformer, what the sentences are told, and the outer transformer."""

    def __init__(self, config: TNTConfig) -> None:
        super().__init__()
        inner, width, words = config.inner_width, config.width, config.row**2
        self.is_inner, self.is_whole = config.inner, config.whole
        if self.is_inner:
            self.norm_in, self.attn_in = nn.LayerNorm(inner), Attention(inner, config.inner_heads)
            self.norm_mlp_in, self.mlp_in = nn.LayerNorm(inner), Mlp(inner, 4 * inner)
        self.norm1_proj = nn.LayerNorm(inner if self.is_whole else words * inner)
        self.proj = nn.Linear(words * inner, width, bias=self.is_whole)
        self.norm2_proj = None if self.is_whole else nn.LayerNorm(width)
        self.norm_out, self.attn_out = nn.LayerNorm(width), Attention(width, config.heads)
        self.norm_mlp, self.mlp = nn.LayerNorm(width), Mlp(width, 4 * width)

    def forward(self, words: Tensor, sentences: Tensor) -> tuple[Tensor, Tensor]:
        """Return words [B n, m, c] and class token with sentences [B, 1 + n, D] after the block."""
        if self.is_inner:
            words = words + self.attn_in(self.norm_in(words))
            words = words + self.mlp_in(self.norm_mlp_in(words))
        # The class token has no words.
        sentences = torch.cat([sentences[:, :1], sentences[:, 1:] + self.told(words, len(sentences))], 1)
        sentences = sentences + self.attn_out(self.norm_out(sentences))
        return words, sentences + self.mlp(self.norm_mlp(sentences))

    def told(self, words: Tensor, batch: int) -> Tensor:
        """Return what words [B n, m, c] tell their sentences [B, n, D]."""
        shape = (batch, -1, words[0].numel())
        if self.norm2_proj is None:
            found: Tensor = self.proj(self.norm1_proj(words).reshape(shape))
        else:
            found = self.norm2_proj(self.proj(self.norm1_proj(words.reshape(shape))))
        return found


class Words(nn.Module):
    """Pixels to words."""

    def __init__(self, config: TNTConfig) -> None:
        super().__init__()
        self.patch, self.row, self.is_whole = config.patch, config.row, config.whole
        self.proj = nn.Conv2d(3, config.inner_width, KERNEL, config.stride, KERNEL // 2)

    def forward(self, pixels: Tensor, positions: Tensor) -> Tensor:
        """Return the words [B n, m, c] of pictures [B, 3, S, S], sentence after sentence, with positions [1, c, r, r]."""
        if self.is_whole:
            words = cut(self.proj(pixels), self.row)
        else:
            words = self.proj(cut(pixels, self.patch))
        return (words + positions).flatten(2).transpose(1, 2)


def cut(picture: Tensor, side: int) -> Tensor:
    """Return the squares [B n, C, side, side] of pictures [B, C, H, W], row by row."""
    batch, channels, height, width = picture.shape
    squares = picture.reshape(batch, channels, height // side, side, width // side, side)
    return squares.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


class TNT(nn.Module):
    """Scores of labels, of a picture."""

    def __init__(self, config: TNTConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        told = config.row**2 * config.inner_width
        self.pixel_embed = Words(config)
        self.norm1_proj, self.proj, self.norm2_proj = nn.LayerNorm(told), nn.Linear(told, width), nn.LayerNorm(width)
        self.cls_token, self.patch_pos = start(1, 1, width), start(1, 1 + config.sentences, width)
        self.pixel_pos = start(1, config.inner_width, config.row, config.row)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, len(config.labels))
        begin(self)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the scores [B, K] of standardised pictures [B, 3, S, S]."""
        return self.scores(self.features(pixels))

    @property
    def feature_width(self) -> int:
        """D."""
        return self.config.width

    def features(self, pixels: Tensor) -> Tensor:
        """Return what the head sees of standardised pictures, the class token [B, D]."""
        words = self.pixel_embed(pixels, self.pixel_pos)
        whole = words.reshape(len(pixels), self.config.sentences, -1)
        sentences = with_class(self.norm2_proj(self.proj(self.norm1_proj(whole))), self.cls_token, self.patch_pos)
        for block in self.blocks:
            words, sentences = block(words, sentences)
        found: Tensor = self.norm(sentences[:, 0])
        return found

    def scores(self, features: Tensor) -> Tensor:
        """Return the scores [B, K] of features [B, D]."""
        found: Tensor = self.head(features)
        return found
