"""Uniform and logarithmic quantisers, as numbers that are rounded and put back.

A code is q = clip(round(x / s) + z, 0, 2^b − 1), and stands for s (q − z). C channels.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST_BITS, MOST_BITS = 2, 16
# Shares of the range that are tried for the least squared error.
SHARES = tuple(1 - step / 50 for step in range(26))


@dataclass(frozen=True)
class Uniform:
    """A uniform quantiser.

    Attributes:
        scale, zero: broadcast against what is quantised; zero holds whole numbers.
        bits: b.
    """

    scale: Tensor
    zero: Tensor
    bits: int

    def codes(self, values: Tensor) -> Tensor:
        """Return the codes of some values, as floats."""
        return (torch.round(values / self.scale) + self.zero).clamp(0, 2**self.bits - 1)

    def __call__(self, values: Tensor) -> Tensor:
        """Return what their codes stand for."""
        return self.scale * (self.codes(values) - self.zero)


def between(low: Tensor, high: Tensor, bits: int) -> Uniform:
    """Return the quantiser whose codes reach from `low` to `high`; its range holds 0, so that 0 is kept."""
    low, high = low.clamp_max(0), high.clamp_min(0)
    scale = ((high - low) / (2**bits - 1)).clamp_min(torch.finfo(low.dtype).tiny * 2**bits)
    return Uniform(scale, torch.round(-low / scale).clamp(0, 2**bits - 1), bits)


def symmetric(most: Tensor, bits: int) -> Uniform:
    """Return the quantiser of −most … most with one zero point for every channel, the middle code."""
    middle = 2 ** (bits - 1)
    scale = (most / max(1, middle - 1)).clamp_min(torch.finfo(most.dtype).tiny * 2**bits)
    return Uniform(scale, torch.full_like(scale, float(middle)), bits)


def fitted(rows: Tensor, bits: int) -> Uniform:
    """Return a quantiser for each row [C, n] of the range share with the least squared error."""
    low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    tried = [between(share * low, share * high, bits) for share in SHARES]
    errors = torch.stack([(one(rows) - rows).square().sum(1, keepdim=True) for one in tried])
    best = errors.argmin(0, keepdim=True)

    def chosen(values: list[Tensor]) -> Tensor:
        return torch.stack(values).gather(0, best)[0]

    return Uniform(chosen([one.scale for one in tried]), chosen([one.zero for one in tried]), bits)


def log_sqrt2_codes(shares: Tensor, scale: float, bits: int) -> Tensor:
    """Return the codes clip(round(−2 log₂(A / s)), 0, 2^b − 1) of attention A; a share of 0 has the last code."""
    codes = torch.round(-2 * torch.log2((shares / scale).clamp_min(2.0 ** -(2**bits))))
    return codes.clamp(0, 2**bits - 1)


def log_sqrt2_values(codes: Tensor, scale: float) -> Tensor:
    """Return what codes to the base √2 stand for: s 2^(−q / 2)."""
    return scale * torch.pow(2.0, -codes / 2)


def log2_values(codes: Tensor, scale: float) -> Tensor:
    """Return the same by whole shifts alone: s' 2^(−⌈q / 2⌉), where s' = √2 s for odd codes and s for even ones."""
    own = torch.where(codes % 2 == 1, scale * math.sqrt(2), torch.full_like(codes, scale))
    return own * torch.pow(2.0, -torch.ceil(codes / 2))
