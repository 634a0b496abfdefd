"""A matrix as blocks of adjacent columns, each with factors of its own; of the matrix or of its transpose."""

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.transforms.dsformer.factors import VALUE_BITS, Factors, factorise


@dataclass(frozen=True)
class Blocks:
    """A matrix [out, in] that factors stand for.

    Attributes:
        parts: of each block, from the first column on.
        transposed: whether the blocks are of the transposed matrix.
    """

    parts: tuple[Factors, ...]
    transposed: bool

    @property
    def product(self) -> Tensor:
        """The matrix that is stood for."""
        found = torch.cat([part.product for part in self.parts], 1)
        return found.T if self.transposed else found

    @property
    def bits(self) -> int:
        """What is stored of it, indices included."""
        return sum(part.bits for part in self.parts)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one token."""
        return sum(part.basis.numel() + part.values.numel() for part in self.parts)


def nearest_blocks(matrix: Tensor, ratio: float, columns: int, rounds: int) -> Blocks:
    """Return the factors of a matrix or of its transpose, whichever come nearer.

    Args:
        matrix: [out, in].
        ratio: bits of a block in 16 each, over those of its factors.
        columns: of a block.
        rounds: turns of pursuit and least squares.

    Raises:
        ValueError: no factors fit.
    """
    both = (_in_blocks(matrix, False, ratio, columns, rounds), _in_blocks(matrix.T, True, ratio, columns, rounds))
    return min(both, key=lambda one: float((one.product - matrix).norm()))


def _in_blocks(matrix: Tensor, transposed: bool, ratio: float, columns: int, rounds: int) -> Blocks:
    parts = torch.split(matrix, columns, 1)
    made = tuple(factorise(part, int(part.numel() * VALUE_BITS / ratio), rounds=rounds) for part in parts)
    return Blocks(made, transposed)
