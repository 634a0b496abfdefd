"""The loss of a step in both dimensions, depth and length. B texts, D width."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.sentences.contrastive import prefix


def layer_losses(early: Tensor, last: Tensor, base: Any, *, dim: int, divergence: float, temperature: float) -> Tensor:
    """Return the loss of a step: last and earlier layer, whole and cut, and the earlier one drawn to the last.

    base(N, D) + base(N, k) + base(n, D) + base(n, k) + w · T · KL(softmax(e_N / T) ‖ softmax(e_n / T)), the teacher fixed; as in
    sentence-transformers' Matryoshka2dLoss with one layer and one prefix a step.

    Args:
        early, last: vectors after layer n and after the last, N [B, D], not normalised.
        base: loss of unit vectors [B, K].
        dim: k.
        divergence: w.
        temperature: T.
    """
    width = last.shape[-1]
    total: Tensor = base(prefix(last, width)) + base(prefix(last, dim))
    total = total + base(prefix(early, width)) + base(prefix(early, dim))
    teacher = torch.log_softmax(last.detach() / temperature, -1)
    student = torch.log_softmax(early / temperature, -1)
    drawn = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return total + divergence * temperature * drawn
