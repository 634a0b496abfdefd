"""Norms and the maps after them rewritten, so that one scale for all channels quantises as a scale for each would.

Li et al. (2024, arXiv:2402.05628), after RepQ-ViT (Li et al., ICCV 2023, arXiv:2212.08254). The input x of a map has a scale s
and a zero point z in each channel; with s̃ and z̃ for all of them, r₁ = s / s̃ and r₂ = z − z̃, the norm gives
x' = (x + s r₂) / r₁, and the map takes it back: W' = W r₁ in each column, b' = b − W (s r₂). The function is the same, and so
is every code where r₂ is whole.

An RMSNorm scales and cannot shift: r₂ has to be 0, so the channels share a zero point before as well. For these norms activations
are quantised symmetrically. C channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.transforms.repquant.quantisers import Uniform


@dataclass(frozen=True)
class Norm:
    """A norm's scale and shift, [C] each; no shift of an RMSNorm."""

    scale: Tensor
    shift: Tensor | None = None


@dataclass(frozen=True)
class Map:
    """A linear map after a norm: weight [D, C], bias [D] or None."""

    weight: Tensor
    bias: Tensor | None = None


def reparameterised(norm: Norm, maps: list[Map], each: Uniform) -> tuple[Norm, list[Map], Uniform]:
    """Return a norm, its maps and one quantiser for all channels that compute as these with a quantiser for each channel.

    Args:
        norm: before the maps.
        maps: every one that reads the norm.
        each: the quantiser of its output, scale and zero [C].

    Raises:
        ValueError: a norm without a shift, and zero points that differ.
    """
    scale = each.scale.mean()
    # Whole, so that r₂ is and no code moves; the published code leaves it broken.
    zero = torch.round(each.zero.mean())
    ratio, offset = each.scale / scale, each.zero - zero
    one = Uniform(scale, zero, each.bits)
    if norm.shift is None:
        if bool((offset != 0).any()):
            raise ValueError("a norm without a shift cannot give its channels zero points of their own")
        return Norm(norm.scale / ratio), [Map(each_map.weight * ratio, each_map.bias) for each_map in maps], one
    moved = each.scale * offset
    changed = []
    for each_map in maps:
        bias = 0 if each_map.bias is None else each_map.bias
        changed.append(Map(each_map.weight * ratio, bias - each_map.weight @ moved))
    return Norm(norm.scale / ratio, (norm.shift + moved) / ratio), changed, one
