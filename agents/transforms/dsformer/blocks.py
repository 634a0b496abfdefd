"""A matrix as blocks of adjacent columns, each with factors of its own; of the matrix or of its transpose."""

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.transforms.dsformer.factors import VALUE_BITS, Factors, factorise, nearest_sizes


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


def nearest_blocks(matrix: Tensor, ratio: float, columns: int, rounds: int, *, sampled: int = 0) -> Blocks:
    """Return the factors of a matrix or of its transpose, whichever come nearer.

    Args:
        matrix: [out, in].
        ratio: bits of a block in 16 each, over those of its factors.
        columns: of a block.
        rounds: turns of pursuit and least squares.
        sampled: blocks, evenly spaced, on which sizes and the way are tried for all of them; 0 tries them on every block.

    Raises:
        ValueError: no factors fit.
    """
    if sampled:
        tried = [(*_tried(each, ratio, columns, sampled), each is not matrix) for each in (matrix, matrix.T)]
        _, sizes, transposed = min(tried, key=lambda one: one[0])
        return _in_blocks(matrix.T if transposed else matrix, transposed, ratio, columns, rounds, sizes)
    both = (_in_blocks(matrix, False, ratio, columns, rounds), _in_blocks(matrix.T, True, ratio, columns, rounds))
    return min(both, key=lambda one: float((one.product - matrix).norm()))


def _tried(matrix: Tensor, ratio: float, columns: int, sampled: int) -> tuple[float, tuple[int, int]]:
    """Return the relative error and the sizes that are best for some blocks of a matrix, evenly spaced."""
    # The last one may be narrower.
    blocks = [part for part in torch.split(matrix, columns, 1) if part.shape[1] == min(columns, matrix.shape[1])]
    chosen = blocks[:: max(1, len(blocks) // sampled)][:sampled]
    error, sizes = nearest_sizes(chosen, int(chosen[0].numel() * VALUE_BITS / ratio))
    return error / float(torch.cat(chosen, 1).norm().clamp_min(torch.finfo(matrix.dtype).tiny)), sizes


def _in_blocks(
    matrix: Tensor, transposed: bool, ratio: float, columns: int, rounds: int, sizes: tuple[int, int] | None = None
) -> Blocks:
    """Return the factors of each block; sizes are of whole blocks, and without them, or narrower, a block takes its own."""
    made = []
    for part in torch.split(matrix, columns, 1):
        own = sizes if part.shape[1] == min(columns, matrix.shape[1]) else None
        made.append(factorise(part, int(part.numel() * VALUE_BITS / ratio), rounds=rounds, sizes=own))
    return Blocks(tuple(made), transposed)
