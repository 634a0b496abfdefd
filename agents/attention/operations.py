"""Scalar operations of one head's attention over N tokens, counted by formula: a softmax's, and EcoFormer's.

Maps before and behind a head are left out. A difference counts as an addition, a product with ±1 as an addition or none, and what
is neither a multiplication nor an addition (roots, divisions, exponentials, signs, the larger of two) by itself. The published
count (pvt/get_energy.py) leaves the squares of distances out, and lengths and bandwidths; here they are in.
"""

from dataclasses import dataclass

from agents.attention.ecoformer import EcoFormer

# Picojoules of a multiplication and an addition of 32 bits at 45 nm (Horowitz, ISSCC 2014), as the paper takes them.
MULTIPLY_PJ, ADD_PJ = 3.7, 0.9


@dataclass(frozen=True)
class Operations:
    """How many of each kind."""

    multiplies: int
    adds: int
    others: int

    @property
    def energy_pj(self) -> float:
        """The paper's energy model: what multiplications and additions would take, others left out; a count, no measurement."""
        return MULTIPLY_PJ * self.multiplies + ADD_PJ * self.adds


def softmax_operations(tokens: int, width: int) -> Operations:
    """Return those of softmax(q kᵀ / √d) v, the largest score taken off each row."""
    n, d = tokens, width
    return Operations(
        multiplies=2 * n * n * d + n * n + n * d,
        adds=n * n * (d - 1) + n * n + n * (n - 1) + n * (n - 1) * d,
        # The largest of a row, exponentials, and one division a row.
        others=n * (n - 1) + n * n + n,
    )


def ecoformer_operations(tokens: int, width: int, kind: EcoFormer) -> Operations:
    """Return those of codes and of what is heard by them; linear in the tokens but for what is done once."""
    n, d, m, b = tokens, width, kind.anchors, kind.bits
    official = kind.official_numerator
    # Keys made 1 long; squared distances |k|² + |a|² − 2 k·a, |a|² known; their mean; the kernel; its mean off.
    multiplies = 2 * n * d + n * d + n * m * (d + 1) + n * m
    adds = 2 * n * (d - 1) + n * m * (d - 1) + 2 * n * m + (n * m - 1) + n * m
    others = 2 * n + 1 + n * m
    # Bits: products with the directions.
    multiplies += n * m * b
    adds += n * (m - 1) * b
    others += n * b
    # Σ c vᵀ, Σ c and Σ v over tokens, and what each token takes of them.
    adds += (n - 1) * b * d + (n - 1) * b + (0 if official else (n - 1) * d)
    multiplies += (n * d if official else d) + 1
    adds += n * (b - 1) * d + n * d + n * (b - 1) + n
    # One division a token.
    multiplies += n * d
    others += n
    return Operations(multiplies, adds, others)
