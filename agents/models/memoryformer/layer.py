"""The memory layer: a projection by hashing and looking up (MemoryFormer, NeurIPS 2024, arXiv 2411.12992).

The text was not at hand in full: the factor of a bucket and the wiring of a block are our reading, consistent with what could
be read, and held against the definition in float64 (tests/agents/models/test_memoryformer.py).

d numbers in, h out, τ bits of a bucket, K = d / τ tables.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.errors import ConfigError


class MemoryLayer(nn.Module):
    """y = Σ_k p(z_k) · T_k[b(z_k)] of x [..., d] in pieces z_k of τ numbers.

    b(z) is the number whose bits are the signs of z (a 0 counts as negative), and p(z) the softmax over all 2^τ corners c of
    {−1, 1}^τ of ⟨z, c⟩ / t at the corner of z itself. That is Π_i σ(2 |z_i| / t), so that no other corner is looked at. The
    gradient reaches x through p alone, and of the tables the rows that were picked.

    Args:
        inputs: d, a multiple of the bits.
        outputs: h.
        bits: τ.
        temperature: t.
        spread: standard deviation of the outputs for standard normal x, with the random tables that it begins with.

    Raises:
        ConfigError: sizes that do not fit together.
    """

    def __init__(self, inputs: int, outputs: int, bits: int, *, temperature: float = 1.0, spread: float = 0.3) -> None:
        super().__init__()
        if not 1 <= bits <= 16 or inputs < bits or inputs % bits:
            raise ConfigError(f"a memory layer's inputs are a multiple of its bits, 1 to 16; got {inputs} and {bits}")
        if not 0 < temperature < float("inf"):
            raise ConfigError(f"a memory layer's temperature is above 0 and finite; got {temperature}")
        self.inputs, self.outputs, self.bits, self.temperature, self.spread = inputs, outputs, bits, temperature, spread
        self.pieces = inputs // bits
        self.table = nn.Parameter(torch.empty(self.pieces << bits, outputs))
        self.reset()

    @property
    def deviation(self) -> float:
        """Standard deviation of a table's numbers at the beginning."""
        grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
        density = torch.exp(-0.5 * grid.square())
        square = torch.sigmoid(2 * grid.abs() / self.temperature).square()
        share = float((square * density).sum() / density.sum()) ** self.bits
        return self.spread / math.sqrt(self.pieces * share)

    def reset(self) -> None:
        """Give the tables random numbers."""
        nn.init.normal_(self.table, std=self.deviation)

    def forward(self, x: Tensor) -> Tensor:
        """Return y [..., h] of x [..., d]."""
        z = x.reshape(-1, self.pieces, self.bits)
        bits = torch.arange(self.bits, device=x.device)
        first = torch.arange(self.pieces, device=x.device) << self.bits
        bucket = ((z > 0).long() << bits).sum(-1) + first
        share = functional.logsigmoid(2 * z.abs().to(self._wide(x)) / self.temperature).sum(-1).exp().to(x.dtype)
        y = functional.embedding_bag(bucket, self.table, per_sample_weights=share, mode="sum")
        return y.reshape(*x.shape[:-1], self.outputs)

    @staticmethod
    def _wide(x: Tensor) -> torch.dtype:
        return torch.promote_types(x.dtype, torch.float32)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one position: K rows of h numbers, each times its factor. A dense projection has d · h."""
        return self.pieces * self.outputs

    @property
    def hashing(self) -> int:
        """Multiplications of one position that its buckets and factors cost, the sigmoids left out."""
        return 2 * self.inputs
