"""RoPE with ALiBi's bias in harmonic numbers (Li, 2024, arXiv:2410.18441), as we read its abstract; the full text was not
open.

score_ij = a (R_i q_i)·(R_j k_j) / √d − (1 − a) m_h H_{i−j}, with H_n = 1 + 1/2 + … + 1/n and ALiBi's slopes m_h = 2^{−8h/n}
for heads h = 1 … n (Press et al., ICLR 2022, arXiv:2108.12409). The penalty grows as the logarithm of the distance, where
ALiBi's grows as the distance. a = 1 is the model as it is.
"""

import math
from dataclasses import dataclass

import torch

from agents.attention.row_attention import RowAttention, visible
from agents.errors import ConfigError


@dataclass(frozen=True)
class Harmonic(RowAttention):
    """Attention with a penalty for distance.

    Attributes:
        share: a, of the model's own scores.
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"harmonic: share must be over 0 and at most 1, which is the model; got {self.share}")

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scaling: float,
        layer: int,
        queries: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See RowAttention."""
        heads, count, _ = query.shape
        length = key.shape[1]
        places = torch.arange(length, device=query.device)
        distance = (places[length - count :, None] - places).clamp_min(0)
        penalty = slopes(heads).to(query.device)[:, None, None] * harmonic_numbers(length).to(query.device)[distance]
        scores = self.share * scaling * (query.float() @ key.float().mT) - (1 - self.share) * penalty
        scores = scores.masked_fill(~visible(count, length, query.device), -math.inf)
        return (scores.softmax(-1) @ value.float()).to(value.dtype)


def harmonic_numbers(count: int) -> torch.Tensor:
    """Return H_0 … H_{count − 1}, float32, added up in float64."""
    each = torch.cat([torch.zeros(1, dtype=torch.float64), 1 / torch.arange(1, count, dtype=torch.float64)])
    return each[:count].cumsum(0).float()


def slopes(heads: int) -> torch.Tensor:
    """Return ALiBi's slope of each head, [H]."""
    return 2.0 ** (-8 * torch.arange(1, heads + 1, dtype=torch.float64) / heads).float()


def harmonic(*, share: float = 0.9) -> Harmonic:
    """Weaken distant tokens by a bias that grows as the harmonic numbers; share=1 is the model."""
    return Harmonic(float(share))
