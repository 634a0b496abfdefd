"""Random numbers that follow from a seed or from a name, whoever else draws."""

import hashlib
from collections.abc import Callable
from typing import TypeVar

import torch

M = TypeVar("M")


def seeded(make: Callable[[], M], seed: int) -> M:
    """Return what `make` makes with torch's generator at a seed; the caller's own generator stays as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def number_of(key: str | bytes) -> int:
    """Return a seed of 63 bits that follows from a name alone."""
    key = key.encode() if isinstance(key, str) else key
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


def generator_of(key: str | bytes) -> torch.Generator:
    """Return a generator at the seed of a name."""
    return torch.Generator().manual_seed(number_of(key))
