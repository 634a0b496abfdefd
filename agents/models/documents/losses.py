"""What is learned from pages, each loss divided by that of knowing nothing, so that none of them counts for more than others.

Summed as they are, the words of a line would outweigh all else: ln V of some thousand words is seven to ten times ln 2.

B pages, N lines, T words, V words that are known.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.documents.categories import CATEGORIES
from agents.models.documents.fields import TAGS


def tag_loss(scores: Tensor, tags: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the loss of tags [B, N], -100 where none is known: cross-entropy over ln K of scores [B, N, K]."""
    found = functional.cross_entropy(scores.flatten(0, 1), tags.flatten(), weights)
    return found / math.log(len(TAGS))


def category_loss(scores: Tensor, categories: Tensor) -> Tensor:
    """Return the loss of categories [B, N], -100 where no line is: cross-entropy over ln C of scores [B, N, C]."""
    found = functional.cross_entropy(scores.flatten(0, 1), categories.flatten())
    return found / math.log(len(CATEGORIES))


def order_loss(scores: Tensor, ranks: Tensor) -> Tensor:
    """Return the loss of the order of lines: binary cross-entropy of "i before j" over ln 2, each page's mean over its pairs.

    Args:
        scores: s [B, N, N].
        ranks: [B, N], place in the order of reading, -1 where no line is. A page of one line has no pairs, and adds nothing.
    """
    there = ranks >= 0
    pairs = (there[:, :, None] & there[:, None]) & ~torch.eye(ranks.shape[1], dtype=torch.bool)
    first = (ranks[:, :, None] < ranks[:, None]).to(scores.dtype)
    each = functional.binary_cross_entropy_with_logits(scores, first, reduction="none")
    count = pairs.sum((1, 2))
    means = (each * pairs).sum((1, 2)) / count.clamp_min(1)
    return means.sum() / (count > 0).sum().clamp_min(1) / math.log(2)


def words_loss(scores: Tensor, wanted: Tensor) -> Tensor:
    """Return the loss of words [M, T], -100 where none is: cross-entropy over ln V of scores [M, T, V]."""
    return functional.cross_entropy(scores.flatten(0, 1), wanted.flatten()) / math.log(scores.shape[-1])


def collective(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return Σ_t w_t L_t of the tasks' losses, 1 for a task without a weight."""
    return sum((weights.get(name, 1.0) * loss for name, loss in losses.items()), torch.zeros(()))
