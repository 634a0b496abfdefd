"""What published checkpoints of pictures have in common: colours' statistics, and what is wrapped around a state dict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Statistics:
    """Mean and deviation of each colour, by which pictures are standardised."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = Statistics((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def tensors_of(found: Any) -> Mapping[str, Tensor]:
    """Return the state dict of what a file holds: itself, or what lies in it under `state_dict` or `model`.

    Raises:
        ValueError: it is no state dict.
    """
    for wrapper in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError("it holds no state dict")
    return {str(name): value for name, value in found.items()}
