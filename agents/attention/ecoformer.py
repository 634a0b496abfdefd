"""EcoFormer's attention (Liu et al., NeurIPS 2022, arXiv:2209.09004): codes of ±1 in place of a softmax, linear in the tokens.

Queries and keys are one map, hashed by one hash (agents/attention/hashing.py) to codes c of b bits a head. The weight of token j
for token i is c_i·c_j + b + 1, from 1 to 2 b + 1, divided by its sum over all j, so that

    out_i = (c_i (Cᵀ V) + (b + 1) Σ_j v_j) / (c_i·Σ_j c_j + N (b + 1)),

whose sums over j are the same for every i: N b d additions in place of N² d products. Every token hears every other, so it is an
encoder's and no causal model's. The published numerator has (b + 1) v_i where the formula has (b + 1) Σ_j v_j; rows of weights
then do not sum to 1, and `official_numerator` is that.

N tokens, b bits, d width of a head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.errors import ConfigError


@dataclass(frozen=True)
class EcoFormer:
    """What an encoder's attention is; its hashes are weights of a checkpoint.

    Attributes:
        bits: b, hash functions of a head.
        anchors: m, tokens that a kernel compares with.
        official_numerator: the published numerator in place of the formula's.
    """

    bits: int = 16
    anchors: int = 25
    official_numerator: bool = False

    def __post_init__(self) -> None:
        if self.bits < 1 or self.anchors < 1:
            raise ConfigError(f"ecoformer: bits and anchors are at least 1; got {self.bits} and {self.anchors}")

    def attend(self, codes: Tensor, values: Tensor, there: Tensor | None = None) -> Tensor:
        """Return what tokens hear [..., N, d].

        Args:
            codes: [..., N, b] of ±1.
            values: [..., N, d].
            there: bool, broadcast to [..., N]: which tokens are heard, at least one a row; all by default.
        """
        wide = torch.promote_types(values.dtype, torch.float32)
        own, heard = codes.to(wide), values.to(wide)
        seen = own.new_ones(own.shape[-2]) if there is None else there.to(wide)
        keys, heard = own * seen[..., None], heard * seen[..., None]
        constant = self.bits + 1
        rest = heard if self.official_numerator else heard.sum(-2, keepdim=True)
        above = own @ (keys.mT @ heard) + constant * rest
        below = own @ keys.sum(-2)[..., None] + constant * seen.sum(-1)[..., None, None]
        return (above / below).to(values.dtype)


def ecoformer(*, bits: int = 16, anchors: int = 25, official_numerator: bool = False) -> EcoFormer:
    """Hash queries and keys to codes, whose products weigh values in a time linear in the text; for encoders with such hashes."""
    return EcoFormer(bits, anchors, official_numerator)
