"""Asymmetric uniform quantisation of groups of numbers, its codes packed: x ≈ low + scale · code, code in 0 … 2^bits − 1.

The quantiser of KIVI (Liu et al., ICML 2024, arXiv:2402.02750, section 3), which SAQ builds on: keys have a group for each
channel of a chunk of tokens, values one for each token. Scale and low are kept in 16 bits, and the codes are made with what
is kept, so nothing that a reader of the codes does not have goes into them.
"""

from dataclasses import dataclass

import torch

SCALE_BYTES = 2
MOST_BITS = 8


@dataclass(frozen=True)
class Codes:
    """Quantised numbers.

    Attributes:
        packed: uint8, the codes one after the other, `bits` of each; the last byte is filled up with zeros.
        scale, low: float16, of each group; one long in the dimension that the group runs along.
        bits: of a code.
        shape, dtype: of what was quantised.
    """

    packed: torch.Tensor
    scale: torch.Tensor
    low: torch.Tensor
    bits: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """Bytes of codes, scales and lows."""
        return self.packed.numel() + SCALE_BYTES * (self.scale.numel() + self.low.numel())

    def restore(self) -> torch.Tensor:
        """Return the numbers that the codes stand for."""
        count = self.scale.new_empty(self.shape, device="meta").numel()
        places = torch.arange(8, device=self.packed.device)
        bits = (self.packed[:, None] >> places & 1).flatten()[: count * self.bits].reshape(count, self.bits)
        codes = (bits.int() << places[: self.bits].int()).sum(1).reshape(self.shape)
        return (self.low.float() + self.scale.float() * codes).to(self.dtype)


def quantise(numbers: torch.Tensor, bits: int, dim: int) -> Codes:
    """Return the codes of numbers, a group for each run along a dimension.

    Args:
        numbers: any shape and float type.
        bits: of a code, 1 to 8.
        dim: along which a group runs.

    Raises:
        ValueError: another number of bits.
        OverflowError: a scale or a lowest number that 16 bits do not hold, or numbers that are not finite.
    """
    codes, scale, low = _codes(numbers, bits, dim)
    places = torch.arange(bits, device=numbers.device)
    flat = (codes.flatten()[:, None] >> places & 1).flatten()
    flat = torch.nn.functional.pad(flat, (0, -len(flat) % 8)).reshape(-1, 8)
    packed = (flat << torch.arange(8, device=numbers.device)).sum(1).to(torch.uint8)
    return Codes(packed, scale, low, bits, tuple(numbers.shape), numbers.dtype)


def rounded(numbers: torch.Tensor, bits: int, dim: int) -> torch.Tensor:
    """Return what `quantise` and `Codes.restore` come to, to the bit, without packing."""
    codes, scale, low = _codes(numbers, bits, dim)
    return (low.float() + scale.float() * codes).to(numbers.dtype)


def code_bytes(shape: tuple[int, ...], bits: int, dim: int) -> int:
    """Return the bytes that numbers of a shape take as codes, scales and lows included."""
    count = 1
    for length in shape:
        count *= length
    return -(-count * bits // 8) + 2 * SCALE_BYTES * (count // shape[dim] if count else 0)


def _codes(numbers: torch.Tensor, bits: int, dim: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if not 1 <= bits <= MOST_BITS:
        raise ValueError(f"a code has 1 to {MOST_BITS} bits; got {bits}")
    wide = numbers.float()
    least, most = wide.amin(dim, keepdim=True), wide.amax(dim, keepdim=True)
    low, scale = least.half(), ((most - least) / (2**bits - 1)).half()
    if not (torch.isfinite(low).all() and torch.isfinite(scale).all()):
        raise OverflowError("keys or values are not finite, or too large for the 16 bits of a group's scale")
    # A group of equal numbers has no scale, and is its lowest number.
    step = torch.where(scale > 0, scale, torch.ones_like(scale)).float()
    codes = torch.round((wide - low.float()) / step).clamp_(0, 2**bits - 1).int()
    return codes, scale, low
