"""Contrastive losses of unit vectors, and prefixes of them. B pairs, N candidates, D width."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def prefix(vectors: Tensor, dim: int) -> Tensor:
    """Return the first `dim` numbers of vectors [..., D], of length 1 again: cutting breaks it."""
    return functional.normalize(vectors[..., :dim], dim=-1)


def candidate_logits(
    queries: Tensor, positives: Tensor, negatives: Tensor, *, temperature: float, groups: Tensor
) -> Tensor:
    """Return cos / temperature [B, B + N]: the i-th of the first B is the positive of query i, all else is against it.

    Args:
        queries, positives: [B, D], of length 1.
        negatives: [N, D], of length 1; every query has all of them against it.
        temperature: above 0.
        groups: [B]; another query's positive is left out (-inf) where both have the same group, e.g. the same question.
    """
    same = groups[:, None] == groups[None]
    same.fill_diagonal_(False)
    against = (queries @ positives.T).masked_fill(same, -torch.inf)
    return torch.cat([against, queries @ negatives.T], 1) / temperature


def info_nce(logits: Tensor) -> Tensor:
    """Return -log softmax(logits)[i, i] for each query i [B] (van den Oord et al., 2018)."""
    return functional.cross_entropy(logits, torch.arange(len(logits)), reduction="none")


def cosent(first: Tensor, second: Tensor, scores: Tensor, *, scale: float = 20.0) -> Tensor:
    """Return log(1 + Σ exp(scale · (cos_j − cos_i))) over pairs of pairs whose score i is above score j (Su, 2022)."""
    cosines = (first * second).sum(-1)
    gaps = scale * (cosines[None, :] - cosines[:, None])
    ordered = scores[:, None] > scores[None, :]
    return torch.logsumexp(torch.cat([gaps.new_zeros(1), gaps[ordered]]), 0)


def best_temperature(cosines: Sequence[Tensor], right: Sequence[int]) -> float:
    """Return the temperature, of 40 from 0.005 to 1, at which softmax(cos / T) is likeliest to be right on a validation set."""
    grid: list[float] = torch.logspace(-2.3, 0, 40, dtype=torch.float64).tolist()

    def surprise(temperature: float) -> float:
        return -sum(
            float(torch.log_softmax(row.double() / temperature, 0)[place])
            for row, place in zip(cosines, right, strict=True)
        )

    return min(grid, key=surprise)
