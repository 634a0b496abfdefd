"""Where a model rounds what it computes, and the linear maps and norms whose results are rounded.

One scale and one zero point for a whole tensor, of a running lowest and highest number: an outlier widens the range for all.
A model without bits computes as if none of this were here.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from agents.transforms.repquant.quantisers import Uniform, between, symmetric


class Rounded(nn.Module):
    """A place where numbers are rounded; without bits they pass.

    Attributes:
        bits: of a number that passes; None: it is not rounded.
        momentum: what the range so far weighs, of each further batch that is watched; None: the range stays as it is.
        low, high: the range, one number each.
    """

    low: Tensor | None
    high: Tensor | None
    momentum: float | None

    def __init__(self, bits: int | None = None) -> None:
        super().__init__()
        self.bits, self.momentum, self.seen = bits, None, False
        self.register_buffer("low", None if bits is None else torch.zeros(()))
        self.register_buffer("high", None if bits is None else torch.zeros(()))

    def watch(self, bits: int, momentum: float) -> None:
        """From now on round to so many bits, by a range that each batch moves before it is rounded."""
        self.bits, self.momentum, self.seen = bits, momentum, False
        self.low = self.high = torch.zeros(())

    def settle(self) -> None:
        """From now on leave the range as it is."""
        self.momentum = None

    def forward(self, x: Tensor) -> Tensor:
        """Return what the codes of some numbers stand for, of their own shape and type."""
        if self.bits is None:
            return x
        if self.momentum is not None:
            self._see(x.detach(), self.momentum)
        assert self.low is not None
        assert self.high is not None
        wide = torch.promote_types(x.dtype, torch.float32)
        return between(self.low.to(wide), self.high.to(wide), self.bits)(x.to(wide)).to(x.dtype)

    def _see(self, x: Tensor, momentum: float) -> None:
        low, high = x.min(), x.max()
        if self.seen:
            assert self.low is not None
            assert self.high is not None
            low, high = (1 - momentum) * low + momentum * self.low, (1 - momentum) * high + momentum * self.high
        self.low, self.high, self.seen = low, high, True


class RoundedLinear(nn.Linear):
    """A linear map whose results are rounded."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, bits: int | None = None) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self.out = Rounded(bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] of [..., inputs]."""
        found: Tensor = self.out(super().forward(x))
        return found


class RoundedLayerNorm(nn.LayerNorm):
    """A LayerNorm whose results are rounded."""

    def __init__(self, width: int, *, eps: float, bits: int | None = None) -> None:
        super().__init__(width, eps=eps)
        self.out = Rounded(bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] of [..., D]."""
        found: Tensor = self.out(super().forward(x))
        return found


def places_of(model: nn.Module) -> list[Rounded]:
    """Return the places where a model can round; none of a model that was not built for it."""
    return [module for module in model.modules() if isinstance(module, Rounded)]


def of_tensor(weight: Tensor, bits: int) -> Uniform:
    """Return the symmetric quantiser of a whole tensor; of one without negative numbers all codes are for positive ones."""
    if bool((weight < 0).any()):
        return symmetric(weight.abs().max(), bits)
    return between(weight.new_zeros(()), weight.max(), bits)


def round_weights(model: Any, bits: int) -> None:
    """Round the weights of all linear maps and norms between a causal model's tables; biases stay, and so do gates."""
    for module in mapping_modules(model):
        module.weight.data = of_tensor(module.weight.data, bits)(module.weight.data)


def mapping_modules(model: Any) -> Iterator[nn.Linear | nn.LayerNorm]:
    """Yield the linear maps and norms between a causal model's tables."""
    for module in model.get_decoder().modules():
        if isinstance(module, nn.Linear | nn.LayerNorm):
            yield module
