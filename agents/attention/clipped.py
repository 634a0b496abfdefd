"""Clipped softmax (Bondarenko et al., Quantizable Transformers, NeurIPS 2023, arXiv:2306.12929).

p = clip((ζ − γ) softmax(x) + γ, 0, 1) with γ ≤ 0 and ζ ≥ 1: a share under −γ / (ζ − γ) is exactly 0 at scores that are finite,
so that a head can hear nothing without ever larger scores. What is clipped teaches nothing. Rows do not add up to 1 any more, and
are not made to: a head that hears less is what is wanted.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from agents.attention.row_attention import RowAttention, visible_scores
from agents.errors import ConfigError


def clipped_shares(scores: Tensor, gamma: float, zeta: float = 1.0) -> Tensor:
    """Return shares [..., L] of scores [..., L]; what is hidden has the score −inf, or the lowest number."""
    shares = scores.softmax(-1)
    if gamma == 0 and zeta == 1:
        return shares
    return ((zeta - gamma) * shares + gamma).clamp(0, 1)


def check_clipping(gamma: float, zeta: float) -> None:
    """Raise ConfigError for a stretch that is none."""
    if not (-math.inf < gamma <= 0 and 1 <= zeta < math.inf):
        raise ConfigError(
            f"a clipped softmax has gamma at most 0 and zeta at least 1, both finite; got gamma {gamma:g} and zeta {zeta:g}. "
            "gamma 0 and zeta 1 are the softmax itself"
        )


@dataclass(frozen=True)
class Clipped(RowAttention):
    """A model's own scores under a clipped softmax.

    Attributes:
        gamma: γ, at most 0.
        zeta: ζ, at least 1.
    """

    gamma: float
    zeta: float = 1.0

    def __post_init__(self) -> None:
        check_clipping(self.gamma, self.zeta)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scaling: float,
        layer: int,
        queries: Tensor | None = None,
    ) -> Tensor:
        """See RowAttention."""
        scores = visible_scores(query, key, scaling)
        return (clipped_shares(scores, self.gamma, self.zeta) @ value.float()).to(value.dtype)


def clipped(*, gamma: float = -0.001, zeta: float = 1.0) -> Clipped:
    """Stretch the softmax and clip it, so that small shares are exactly 0; gamma=0 and zeta=1 are the model."""
    return Clipped(float(gamma), float(zeta))
