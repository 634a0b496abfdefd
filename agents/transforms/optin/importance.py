"""How much a unit matters: what masking it alone does to the token features of deeper layers, and to the beliefs.

Khaki and Plataniotis (ICLR 2024, arXiv:2403.17921), as their code computes it (github Skhaki18/optin-transformer-pruning,
00e22ed). The manifold term is the sum over the layers deeper than the unit's of ‖A Aᵀ − B Bᵀ‖²_F, A and B the features of the
same K tokens, each scaled to length 1, of the whole and of the masked model; for a unit of the last layer that layer stands in
for them. The belief term is T² KL(whole ‖ masked), summed, multiplied by a power of ten so that the manifold term is about ten
times as large. N tokens, K of them looked at, D features, V logits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 4.0
LAMBDA = 10.0
TOKENS = 768


@dataclass(frozen=True)
class Trajectory:
    """What a forward pass leaves behind.

    Attributes:
        features: [K, D] of each layer, from `start` on.
        logits: [N, V].
        start: the number of the first layer of which features are there.
    """

    features: Sequence[Tensor]
    logits: Tensor
    start: int = 0


@dataclass(frozen=True)
class Terms:
    """The two terms of a unit's importance, before they are weighed."""

    manifold: float
    beliefs: float


def chosen_tokens(count: int, seed: int, most: int = TOKENS) -> Tensor:
    """Return which tokens are compared, the same for every unit."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most]


def manifold(whole: Tensor, masked: Tensor) -> float:
    """Return ‖A Aᵀ − B Bᵀ‖²_F of features [K, D], each row scaled to length 1."""
    return _distance(_gram(whole), masked)


def _gram(features: Tensor) -> Tensor:
    unit = functional.normalize(features, dim=-1)
    return unit @ unit.T


def _distance(gram: Tensor, masked: Tensor) -> float:
    return float((gram - _gram(masked)).square().sum())


def divergence(whole: Tensor, masked: Tensor) -> float:
    """Return T² KL(whole ‖ masked) of logits [N, V], summed over N; as in the code the logits are not divided by T."""
    one, other = functional.log_softmax(whole, -1), functional.log_softmax(masked, -1)
    found = functional.kl_div(other, one, reduction="sum", log_target=True) * TEMPERATURE**2
    return max(0.0, float(found))


class Judge:
    """Compares masked passes with that of the whole model.

    Args:
        whole: of the model as it is.
    """

    def __init__(self, whole: Trajectory) -> None:
        self._whole = whole
        self._grams = [_gram(features) for features in whole.features]

    def terms(self, layer: int, masked: Trajectory) -> Terms:
        """Return the terms of a unit of a layer; the masked pass has features from that layer on at least."""
        last = len(self._grams) - 1
        deeper = range(layer + 1, last + 1) if layer < last else range(last, last + 1)
        found = sum(_distance(self._grams[number], masked.features[number - masked.start]) for number in deeper)
        return Terms(found, divergence(self._whole.logits, masked.logits))


def importances(terms: Sequence[Terms]) -> list[float]:
    """Return one number a unit: its manifold term, and its belief term times a power of ten.

    The power brings the second to about a tenth of the first, and is each unit's own, as in the code. Where the first is not
    the larger one, or one of them is 0, it is the mean of the others' powers; the code takes the mean of those before it.
    """
    powers = [power for unit in terms if (power := _power(unit)) is not None]
    usual = fmean(powers) if powers else 1.0
    found = []
    for unit in terms:
        power = _power(unit)
        found.append(unit.manifold + unit.beliefs * (usual if power is None else power))
    return found


def _power(unit: Terms) -> float | None:
    if not (unit.manifold > unit.beliefs > 0):
        return None
    # Towards zero, as the code rounds.
    return 10.0 ** int(math.log10(unit.manifold / unit.beliefs) - math.log10(LAMBDA))
