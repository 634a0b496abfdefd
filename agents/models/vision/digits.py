"""Written digits of 8 x 8 pixels, which scikit-learn carries (Alpaydin and Kaynak, 1998; the test part of UCI's set)."""

from functools import cache

import torch
from torch import Tensor

from agents.errors import MissingDependency

LABELS = tuple("0123456789")
SPLITS = ("test", "validation", "train")
HELD, VALIDATION = 540, 157
"""Of 1,797 pictures: so many to test with, then so many to fit temperatures on."""


@cache
def read_digits(split: str) -> tuple[Tensor, Tensor]:
    """Return the pictures [n, 1, 8, 8] of a split, between 0 and 1, and which digits they are [n]; always the same.

    Raises:
        MissingDependency: no scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise MissingDependency("the written digits", "scikit-learn", "digits") from error
    found = load_digits()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    parts = dict(zip(SPLITS, torch.split(order, [HELD, VALIDATION, len(order) - HELD - VALIDATION]), strict=True))
    pictures = torch.from_numpy(found.images).float()[:, None] / 16
    return pictures[parts[split]], torch.from_numpy(found.target).long()[parts[split]]
