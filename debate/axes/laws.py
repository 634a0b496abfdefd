"""The laws of an axis that is carried past an operator, as numbers: how far what it computes is from them.

Broadcasting (Abbott, 2024, arXiv:2402.05424): indexing before an operator is indexing after it. So what it makes of a batch is
what it makes of each index alone, and of reordered rows it makes reordered results. An operator that mixes a batch, as batch
normalisation does in training, breaks the first law; if it does not care for the order, as attention over a batch, it keeps
the second.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.sequence import Believed
from agents.errors import RequestError
from agents.question import Question
from debate.axes.signature import Signature, carried

Operator = Callable[..., Any]
"""Takes the inputs of a signature by name; returns a tensor, or an object or mapping that has the results by name."""


@dataclass(frozen=True)
class Differences:
    """How far an operator is from the laws of one axis: largest absolute difference of any number of any result.

    Attributes:
        alone: between a batch's results and those of each index alone.
        reordered: between the reordered results and the results of reordered inputs.
    """

    alone: float
    reordered: float


def differences(
    operator: Operator, signature: Signature, inputs: Mapping[str, Tensor], axis: str, *, seed: int = 0
) -> Differences:
    """Return how far an operator is from the laws of an axis.

    Args:
        operator: what is looked at.
        signature: of its inputs and results; shapes are held against it.
        inputs: name → tensor.
        axis: axis that is carried past it, of at least two indices.
        seed: of the order.

    Raises:
        ConfigError: the axis is in no input, or in no result.
        RequestError: a shape that is not the signature's, or fewer than two indices of the axis.
    """
    carried(signature, (axis,))
    whole = results(operator, signature, inputs)
    shapes = {name: list(tensor.shape) for name, tensor in inputs.items()}
    size = signature.check(shapes, {name: list(tensor.shape) for name, tensor in whole.items()})[axis]
    if size < 2:
        raise RequestError(f"the laws of an axis are about two indices of it or more; {axis} has {size}")

    def picked(places: Tensor) -> float:
        chosen = {
            wire.name: _pick(inputs[wire.name], wire.axes, axis, places)
            for wire in signature.inputs
            if wire.name in inputs
        }
        found = results(operator, signature, chosen)
        # A result without the axis stays what it is.
        return max(
            _apart(found[wire.name], _pick(whole[wire.name], wire.axes, axis, places)) for wire in signature.outputs
        )

    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    return Differences(
        alone=max(picked(torch.tensor([place])) for place in range(size)),
        # A random order may be the old one.
        reordered=max(picked(order), picked(torch.arange(size).flip(0))),
    )


def results(operator: Operator, signature: Signature, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the results by name, without gradients."""
    with torch.no_grad():
        found = operator(**inputs)
    if isinstance(found, Tensor):
        return {signature.outputs[0].name: found}
    if isinstance(found, Mapping):
        return {wire.name: found[wire.name] for wire in signature.outputs}
    return {wire.name: getattr(found, wire.name) for wire in signature.outputs}


def of_beliefs(believe: Callable[[Sequence[Question]], Sequence[Believed]], cases: Sequence[Question]) -> Differences:
    """Return the same for beliefs about cases: asked about one by one, and in the opposite order.

    Infinite where a case is abstained from in one way of asking and not in another, or for another reason, or where sequences
    have other lengths.
    """
    together = believe(cases)
    alone = [believe([case])[0] for case in cases]
    backwards = believe(list(reversed(cases)))[::-1]
    return Differences(_beliefs_apart(alone, together), _beliefs_apart(backwards, together))


def _beliefs_apart(found: Sequence[Believed], wanted: Sequence[Believed]) -> float:
    apart = 0.0
    for one, other in zip(found, wanted, strict=True):
        if (one.labels, one.abstention, len(one.positions)) != (other.labels, other.abstention, len(other.positions)):
            return math.inf
        for here, there in zip(one.positions, other.positions, strict=True):
            apart = max(apart, *(abs(p - q) for p, q in zip(here.probabilities, there.probabilities, strict=True)))
    return apart


def _pick(tensor: Tensor, axes: Sequence[str], axis: str, places: Tensor) -> Tensor:
    return tensor.index_select(axes.index(axis), places) if axis in axes else tensor


def _apart(found: Tensor, wanted: Tensor) -> float:
    if found.shape != wanted.shape:
        return math.inf
    if not found.numel():
        return 0.0
    found, wanted = found.double(), wanted.double()
    # Equal infinities are equal.
    apart = torch.where(found == wanted, 0.0, (found - wanted).abs())
    return math.inf if bool(apart.isnan().any()) else float(apart.max())
