"""A model with the random weights of a seed."""

from collections.abc import Callable
from typing import TypeVar

import torch

M = TypeVar("M")


def seeded(make: Callable[[], M], seed: int) -> M:
    """Return what `make` makes with torch's generator at a seed; the caller's own generator stays as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()
