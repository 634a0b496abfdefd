"""The leading directions of a table's rows, and a bound on what the rest is. V tokens, D width, K directions.

Both ways return an orthonormal basis [K, D], the square of the table's largest singular value, and a bound on ‖E (1 − BᵀB)‖, the
spectral norm of what the directions leave.
"""

import math

import torch
from torch import Tensor

_BLOCK = 4096
# More than the directions that are asked for, and how often the table is applied to them.
_MORE, _SWEEPS = 8, 4
# Of the bound: trial vectors, applications, and how much larger than a trial a norm may be; it fails with probability
# _TIMES^-_TRIALS.
_TRIALS, _POWERS, _TIMES = 10, 12, 10.0


def exact(table: Tensor, rank: int) -> tuple[Tensor, float, float]:
    """By the eigenvectors of EᵀE, in float64: V D² multiplications."""
    gram = table.new_zeros(table.shape[1], table.shape[1], dtype=torch.float64)
    for block in map(Tensor.double, torch.split(table, _BLOCK)):
        gram += block.T @ block
    squares, vectors = torch.linalg.eigh(gram)
    rest = math.sqrt(max(float(squares[-rank - 1]), 0.0)) if rank < table.shape[1] else 0.0
    return vectors[:, -rank:].T.flip(0), max(float(squares[-1]), 0.0), rest


def randomised(table: Tensor, rank: int) -> tuple[Tensor, float, float]:
    """By subspace iteration and the power method's bound: seventeen reads of the table and V D multiplications a vector.

    Halko, Martinsson and Tropp (2011), algorithm 4.4; and lemma 4.1, for the matrix M = (RᵀR)^q of what is left, R: with
    probability 1 − α^−r, ‖M‖ is at most α √(2/π) times the largest of ‖M ω‖ over r normal vectors ω. Its 2q-th root bounds
    ‖R‖: with α = 10, r = 10 and q = 12 some tenth too large, and wrong once in 10^10.
    """
    draw = torch.Generator().manual_seed(0)
    width = table.shape[1]
    # Drawn on the CPU, so that it is the same everywhere.
    sample = torch.randn(width, min(width, rank + _MORE), generator=draw, dtype=torch.float64).to(table.device)
    for _ in range(_SWEEPS):
        sample = torch.linalg.qr(_squared(table, sample)).Q
    squares, vectors = torch.linalg.eigh(sample.T @ _squared(table, sample))
    basis = (sample @ vectors[:, -rank:]).T.flip(0)
    trials = torch.randn(width, _TRIALS, generator=draw, dtype=torch.float64).to(table.device)
    logarithm = 0.0
    for _ in range(_POWERS):
        trials = _without(basis, _squared(table, _without(basis, trials)))
        size = float(trials.norm(dim=0).max())
        if size == 0:
            return basis, max(float(squares[-1]), 0.0), 0.0
        # So that nothing overflows.
        trials, logarithm = trials / size, logarithm + math.log(size)
    bound = math.exp((logarithm + math.log(_TIMES * math.sqrt(2 / math.pi))) / (2 * _POWERS))
    # Products are rounded to float32.
    return basis, max(float(squares[-1]), 0.0), bound * (1 + 1e-3)


def _squared(table: Tensor, columns: Tensor) -> Tensor:
    """EᵀE x for columns x [D, n]: one read of the table."""
    narrow = columns.float()
    found = torch.zeros_like(columns)
    for block in torch.split(table, _BLOCK):
        rows = block.float()
        found += (rows.T @ (rows @ narrow)).double()
    return found


def _without(basis: Tensor, columns: Tensor) -> Tensor:
    """Columns [D, n] less their parts along orthonormal rows [K, D]."""
    return columns - basis.T @ (basis @ columns)
