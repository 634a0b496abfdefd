"""PrFlashAttention (Li, 2024, arXiv:2410.18441), as we read its abstract: blocks of attention that are far from the diagonal
are left out by chance. The full text was not open.

Queries and keys go in blocks. A block (I, J) below the diagonal takes part with probability min(1, scale / (1 + I −
J)^exponent), one on it always, and one above it never; the softmax is over the blocks that take part. They are drawn once,
from seed, layer, I and J, and the same for every text: with another seed an agent is another one, and what chance does is
seen over several. exponent=0 leaves nothing out where scale is at least 1.
"""

import hashlib
import math
from dataclasses import dataclass

import torch

from agents.attention.online import OnlineSoftmax
from agents.attention.row_attention import RowAttention, visible
from agents.errors import ConfigError


@dataclass(frozen=True)
class Probabilistic(RowAttention):
    """Blocked attention with blocks left out.

    Attributes:
        block: tokens of a block.
        scale, exponent: of the probability.
        seed: of the draw.
    """

    block: int
    scale: float
    exponent: float
    seed: int

    def __post_init__(self) -> None:
        if self.block < 1 or not 0 < self.scale < math.inf or not 0 <= self.exponent < math.inf:
            raise ConfigError(
                "probabilistic: block is at least 1, scale over 0 and exponent at least 0, both finite; "
                f"got block={self.block}, scale={self.scale}, exponent={self.exponent}"
            )

    def probability(self, distance: int) -> float:
        """Return the probability of a block so many blocks below the diagonal."""
        return 1.0 if distance == 0 else min(1.0, self.scale * (1 + distance) ** -self.exponent)

    def takes_part(self, layer: int, row: int, column: int) -> bool:
        """Whether a block takes part."""
        if column >= row:
            return column == row
        drawn = hashlib.sha256(f"{self.seed} {layer} {row} {column}".encode()).digest()
        return int.from_bytes(drawn[:7]) / 2**56 < self.probability(row - column)

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
        length, size = key.shape[1], self.block
        first, wide = length - count, torch.promote_types(query.dtype, torch.float32)
        mask, found = visible(count, length, query.device), []
        for row in range(first // size, (length - 1) // size + 1):
            here = slice(max(0, row * size - first), (row + 1) * size - first)
            part = query[:, here].to(wide)
            heard = OnlineSoftmax(torch.Size([heads, part.shape[1], value.shape[2]]), wide, query.device)
            for column in range(row + 1):
                if self.takes_part(layer, row, column):
                    there = slice(column * size, (column + 1) * size)
                    scores = scaling * (part @ key[:, there].to(wide).mT)
                    heard.add(scores.masked_fill(~mask[here, there], -math.inf), value[:, there].to(wide))
            found.append(heard.result())
        return torch.cat(found, 1).to(value.dtype)

    def scores(self, length: int) -> int:
        """See RowAttention."""
        total = 0
        for place in range(length):
            row = place // self.block
            kept = sum(self.takes_part(0, row, column) for column in range(row))
            total += kept * self.block + place % self.block + 1
        return total


def probabilistic(*, block: int = 16, scale: float = 1.0, exponent: float = 1.0, seed: int = 0) -> Probabilistic:
    """Leave blocks out by chance, the more the farther they are from the diagonal; exponent=0 with scale=1 is the model."""
    return Probabilistic(block, float(scale), float(exponent), seed)
