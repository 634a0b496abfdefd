"""Blocks of the encoder and of the decoders. B recordings, N tokens or frames, S of what is attended to, D width."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.layers import Attention, FeedForward


def places(count: int, width: int, *, first: int = 0) -> Tensor:
    """Return sines and cosines of places [N, D] (Vaswani et al., 2017), from a first place on."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(first, first + count)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class Listening(Attention):
    """Attention whose mask says for each token what it attends to."""

    def of(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Return [B, N, D] of tokens [B, N, D] that attend to [B, S, D] under a mask [B, N or 1, S] bool, one at least a row."""
        q, k, v = (
            each(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for each, y in ((self.q, x), (self.k, memory), (self.v, memory))
        )
        found: Tensor = self.out(
            functional.scaled_dot_product_attention(q, k, v, mask[:, None]).transpose(1, 2).flatten(2)
        )
        return found


class ConvolvedBlock(nn.Module):
    """A conformer's block in small: attention, a gated convolution of channels, feed-forward; each behind a norm, and added."""

    def __init__(self, config: EncoderConfig, kernel: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(4))
        self.attention, self.feed_forward = Attention(config), FeedForward(config)
        self.gate = nn.Linear(config.width, 2 * config.width)
        self.convolution = nn.Conv1d(config.width, config.width, kernel, padding=kernel // 2, groups=config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Return frames [B, N, D] of frames, of which those [B, N] bool are there."""
        x = x + self.attention(self.norms[0](x), there)
        inner = functional.glu(self.gate(self.norms[1](x)), -1) * there[..., None]
        inner = self.norms[2](self.convolution(inner.transpose(1, 2)).transpose(1, 2))
        x = x + self.out(functional.silu(inner))
        found: Tensor = x + self.feed_forward(self.norms[3](x))
        return found


class TokenBlock(nn.Module):
    """Attention among tokens, over frames, or both, in this order, then feed-forward; each behind a norm, and added."""

    def __init__(self, config: EncoderConfig, *, among: bool, over: bool) -> None:
        super().__init__()
        self.among = Listening(config) if among else None
        self.over = Listening(config) if over else None
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(1 + among + over))
        self.feed_forward = FeedForward(config)

    def forward(
        self, x: Tensor, seen: Tensor, memory: Tensor, heard: Tensor, *, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return tokens [B, N, D], and what the next tokens attend to of them.

        Args:
            x: tokens [B, N, D].
            seen: [B, N or 1, P + N] bool, tokens that each attends to.
            memory: frames [B, S, D].
            heard: [B, N or 1, S] bool, frames that each attends to.
            past: normalised tokens [B, P, D] that were said before; none by default.
        """
        norms = iter(self.norms)
        known = x.new_zeros(len(x), 0, x.shape[2])
        if self.among is not None:
            asking = next(norms)(x)
            known = asking if past is None else torch.cat([past, asking], 1)
            x = x + self.among.of(asking, known, seen)
        if self.over is not None:
            x = x + self.over.of(next(norms)(x), memory, heard)
        return x + self.feed_forward(next(norms)(x)), known
