"""Polynomial features of keys and queries (ATLAS, 2025, arXiv 2505.23735): a memory of d numbers a key made one of O(d^p).

The text was not at hand in full: which monomials, and how they are weighed, is our reading.
"""

import itertools
import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from agents.errors import ConfigError


def num_features(width: int, degree: int) -> int:
    """Return how many monomials of degrees 1 to p there are of d variables."""
    return sum(math.comb(width + power - 1, power) for power in range(1, degree + 1))


def polynomial_features(x: Tensor, degree: int) -> Tensor:
    """Return φ(x) [..., F], the monomials of x / |x| of degrees 1 to p; of degree 1 it is x / |x| itself.

    They are weighed so that φ(x) · φ(y) = Σ_i (x · y)^i / p for unit vectors, and |φ(x)| = 1. A vector of zeros has none.

    Args:
        x: [..., d].
        degree: p, 1 to 4.

    Raises:
        ConfigError: another degree.
    """
    if not 1 <= degree <= 4:
        raise ConfigError(
            f"polynomial features are of degree 1 to 4, since there are d to the power of it; got {degree}"
        )
    unit = functional.normalize(x, dim=-1)
    parts = []
    for power in range(1, degree + 1):
        places, weights = _monomials(x.shape[-1], power)
        part = weights.to(unit) / math.sqrt(degree)
        for column in places.to(x.device).unbind(1):
            part = part * unit.index_select(-1, column)
        parts.append(part)
    return torch.cat(parts, -1)


@lru_cache(maxsize=16)
def _monomials(width: int, power: int) -> tuple[Tensor, Tensor]:
    """Return the variables [n, power] of every monomial, and the root of how often each comes up in (Σ x)^power [n]."""
    chosen = list(itertools.combinations_with_replacement(range(width), power))
    orders = [math.factorial(power) / math.prod(math.factorial(one.count(v)) for v in set(one)) for one in chosen]
    with torch.inference_mode(mode=False):
        return torch.tensor(chosen), torch.tensor(orders, dtype=torch.float64).sqrt()
