"""One matrix as blocks S D: S sparse with k numbers in each row, D a small dense basis (Chand et al., 2023, arXiv:2312.13211).

The paper's block sizes, a and k could not be found; here a and k follow from the bytes. A block is all M rows of n adjacent
columns. Its bits are a n values of D, and for S M k values and M k indices of ⌈log₂ a⌉ bits: the indices count.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

VALUE_BITS = 16
# Between the values of a small ratio the error hardly changes with k; so many numbers of it are tried.
TRIED = 6
TRIAL_ROUNDS = 2


@dataclass(frozen=True)
class Factors:
    """A block.

    Attributes:
        places: [M, k] int64, which atoms a row sums.
        values: [M, k], with which weights.
        basis: [a, n], the atoms.
    """

    places: Tensor
    values: Tensor
    basis: Tensor

    @property
    def product(self) -> Tensor:
        """The block that is stood for, [M, n]."""
        return torch.einsum("mk,mkn->mn", self.values, self.basis[self.places])

    @property
    def bits(self) -> int:
        """What is stored of it, indices included."""
        return block_bits(*self.values.shape, *self.basis.shape)


def block_bits(rows: int, nonzeros: int, atoms: int, columns: int) -> int:
    """Return the bits of a block of M rows and n columns with k of a atoms in a row."""
    return atoms * columns * VALUE_BITS + rows * nonzeros * (VALUE_BITS + index_bits(atoms))


def index_bits(atoms: int) -> int:
    """Return the bits of an index into so many atoms."""
    return math.ceil(math.log2(atoms)) if atoms > 1 else 0


def sizes_within(rows: int, columns: int, bits: int) -> list[tuple[int, int]]:
    """Return (a, k) that fit into so many bits, with as many atoms as fit beside each k; those that could be worth a trial."""
    found = []
    for nonzeros in range(1, columns + 1):
        atoms = max(
            (a for a in range(nonzeros, rows + 1) if block_bits(rows, nonzeros, a, columns) <= bits), default=None
        )
        if atoms is not None:
            found.append((atoms, nonzeros))
    step = max(1, len(found) // TRIED)
    return found[::step]


def factorise(block: Tensor, bits: int, *, rounds: int, sizes: tuple[int, int] | None = None) -> Factors:
    """Return the factors of a block [M, n] that fit into so many bits, of the sizes that come nearest to it or of given ones.

    Raises:
        ValueError: nothing fits.
    """
    return rounded(learned(block, *(sizes or nearest_sizes([block], bits)[1]), rounds=rounds))


def nearest_sizes(blocks: Sequence[Tensor], bits: int) -> tuple[float, tuple[int, int]]:
    """Return the error and the sizes (a, k) by which blocks of one shape are best stood for, each within so many bits.

    Raises:
        ValueError: nothing fits.
    """
    fitting = sizes_within(blocks[0].shape[0], blocks[0].shape[1], bits)
    if not fitting:
        raise ValueError("no factors fit into so few bits")
    return min(
        (math.hypot(*(_error(block, learned(block, *sizes, rounds=TRIAL_ROUNDS)) for block in blocks)), sizes)
        for sizes in fitting
    )


def learned(block: Tensor, atoms: int, nonzeros: int, *, rounds: int) -> Factors:
    """Return a basis and sparse rows for a block, by turns: orthogonal matching pursuit, then least squares for the basis.

    It begins with the block's principal directions and its longest rows. An atom that no row uses is put where the error of a row
    is largest (K-SVD's remedy).
    """
    block = block.double()
    directions = torch.linalg.svd(block, full_matrices=False).Vh
    longest = block[block.norm(dim=1).argsort(descending=True)]
    basis = torch.cat([directions, longest])[:atoms]
    best: tuple[float, Factors] | None = None
    for _ in range(max(1, rounds)):
        basis = torch.nn.functional.normalize(basis, dim=1)
        places, values = pursuit(block, basis, nonzeros)
        coded = torch.zeros(len(block), len(basis), dtype=block.dtype).scatter_add_(1, places, values)
        basis = torch.linalg.lstsq(coded, block, driver="gelsd").solution
        made = Factors(places, values, basis)
        error = _error(block, made)
        if best is None or error < best[0]:
            best = (error, made)
        unused = (coded != 0).sum(0) == 0
        if unused.any():
            worst = (block - made.product).norm(dim=1).argsort(descending=True)[: int(unused.sum())]
            basis[unused.nonzero().flatten()[: len(worst)]] = (block - made.product)[worst]
    assert best is not None
    return best[1]


def pursuit(rows: Tensor, basis: Tensor, nonzeros: int) -> tuple[Tensor, Tensor]:
    """Return k atoms for each row and their weights, by orthogonal matching pursuit (Pati et al., 1993).

    Args:
        rows: [M, n].
        basis: [a, n], rows of length 1.
        nonzeros: k, at most a.
    """
    left = rows
    places = torch.empty(len(rows), 0, dtype=torch.long)
    values = rows.new_empty(len(rows), 0)
    for _ in range(nonzeros):
        fit = (left @ basis.T).abs()
        fit.scatter_(1, places, -1.0)
        places = torch.cat([places, fit.argmax(1, keepdim=True)], 1)
        chosen = basis[places]  # [M, i, n]
        gram = chosen @ chosen.transpose(1, 2)
        # Atoms may depend on each other; the ridge is far below what 16 bits can tell.
        gram = gram + 1e-10 * torch.eye(gram.shape[1], dtype=rows.dtype)
        values = torch.linalg.solve(gram, torch.einsum("min,mn->mi", chosen, rows).unsqueeze(-1)).squeeze(-1)
        left = rows - torch.einsum("mi,min->mn", values, chosen)
    return places, values


def rounded(factors: Factors) -> Factors:
    """Return factors whose numbers are those that 16 bits (bfloat16) keep."""
    values, basis = (each.bfloat16().float() for each in (factors.values, factors.basis))
    return Factors(factors.places, values, basis)


def truncated(matrix: Tensor, bits: int) -> Tensor:
    """Return the best approximation of a matrix of the rank whose two factors fit into so many bits, rounded to 16 bits.

    Raises:
        ValueError: not even rank 1 fits.
    """
    rank = bits // (VALUE_BITS * sum(matrix.shape))
    if rank < 1:
        raise ValueError("no factors fit into so few bits")
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    root = s[:rank].sqrt()
    left, right = (u[:, :rank] * root).bfloat16().float(), (v[:rank] * root[:, None]).bfloat16().float()
    found: Tensor = left @ right
    return found


def _error(block: Tensor, factors: Factors) -> float:
    return float((block.double() - factors.product.double()).norm())
