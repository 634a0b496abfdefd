"""Attention whose keys are chosen, feed-forward layers, and a mixture of them (WideNet, Xue et al., 2021, arXiv:2107.11817).

B batch, N tokens, D width, E experts, K experts of a token.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.attention.hard import hard_shares
from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig


class Attention(nn.Module):
    """Every token asks; those tokens answer that are keys. The heads together may be wider or narrower than a token.

    Args:
        config: sizes.
        keys: K, the tokens that a query hears at most, those of largest share, which are not made to add up to 1; 0: all.
    """

    def __init__(self, config: EncoderConfig, keys: int = 0) -> None:
        super().__init__()
        if config.attention is not None:
            raise ConfigError(
                f"this layer's attention is a softmax: {config.attention} is for a plain encoder's own layers"
            )
        inner = config.heads * config.head_width
        self.heads, self.kept = config.heads, keys
        self.q, self.k, self.v = (nn.Linear(config.width, inner) for _ in range(3))
        self.out = nn.Linear(inner, config.width)

    def forward(self, x: Tensor, keys: Tensor | None = None) -> Tensor:
        """Return [B, N, D] of [B, N, D].

        Args:
            x: tokens.
            keys: [B, N] bool, which of them are keys and values, at least one a row; all by default.
        """
        q, k, v = (each(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (self.q, self.k, self.v))
        mask = None if keys is None else keys[:, None, None, :]
        found: Tensor = self.out(self._heard(q, k, v, mask).transpose(1, 2).flatten(2))
        return found

    def _heard(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Return what queries hear [B, H, N, D_h]."""
        if not self.kept:
            return functional.scaled_dot_product_attention(q, k, v, mask)
        scores = q @ k.mT * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        return hard_shares(scores, self.kept) @ v


class Removed(nn.Module):
    """Attention or a feed-forward layer that was taken away: it adds nothing."""

    def forward(self, x: Tensor, keys: Tensor | None = None) -> Tensor:
        """Return zeros of the shape of x."""
        return torch.zeros_like(x)


class FeedForward(nn.Module):
    """Two maps with GELU between them, and behind the second too where a config says `twice`."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(config.width, config.hidden), nn.Linear(config.hidden, config.width)
        self.twice = config.twice

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] of [..., D]."""
        found: Tensor = self.down(functional.gelu(self.up(x)))
        return functional.gelu(found) if self.twice else found


@dataclass(frozen=True)
class Route:
    """Where the tokens of a layer went.

    Attributes:
        probabilities: [B, N, E] of the router, noise included in training.
        chosen: [B, N, E], 1 for the K experts of a token that is there.
        there: [B, N] bool, which tokens are no padding.
    """

    probabilities: Tensor
    chosen: Tensor
    there: Tensor

    @property
    def usage(self) -> Tensor:
        """The share [E] of all choices that an expert has; padding is not counted."""
        return self.chosen.sum((0, 1)) / self.chosen.sum().clamp_min(1)

    @property
    def balance(self) -> Tensor:
        """E · Σ_e f_e P_e, of the shares f of choices and the mean probabilities P; 1 where all are served alike."""
        mean = (self.probabilities * self.there[..., None]).sum((0, 1)) / self.there.sum().clamp_min(1)
        return self.probabilities.shape[-1] * (self.usage * mean).sum()


class Experts(nn.Module):
    """y = Σ over the K likeliest experts e of p_e · FeedForward_e(x), p = softmax(W x), not renormalised.

    In training W x has noise of deviation 1 / E, drawn by torch's generator. Where a config says a capacity, an expert then
    serves the first ⌊capacity · K · tokens / E⌋ of those that chose it, and leaves the others out: what a text comes to so
    depends on its company. Out of training everybody is served.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.router = nn.Linear(config.width, config.experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(config) for _ in range(config.experts))

    def forward(self, x: Tensor, there: Tensor) -> tuple[Tensor, Route]:
        """Return [B, N, D] of [B, N, D], and where its tokens [B, N] that are there went; others go nowhere."""
        scores = self.router(x)
        if self.training:
            scores = scores + torch.randn_like(scores) / self.config.experts
        probabilities = torch.softmax(scores, -1)
        best = probabilities.topk(self.config.chosen, -1).indices
        chosen = torch.zeros_like(probabilities).scatter(-1, best, 1.0) * there[..., None]
        served = self._served(chosen)
        y = torch.zeros_like(x)
        for place, expert in enumerate(self.experts):
            own = served[..., place].bool()
            if own.any():
                y[own] = y[own] + probabilities[..., place][own][:, None] * expert(x[own])
        return y, Route(probabilities, chosen, there)

    def _served(self, chosen: Tensor) -> Tensor:
        if self.config.capacity is None or not self.training:
            return chosen
        rows = chosen.flatten(0, 1)
        room = math.floor(self.config.capacity * self.config.chosen * len(rows) / self.config.experts)
        return torch.unflatten(rows * (rows.cumsum(0) <= room), 0, chosen.shape[:2])
