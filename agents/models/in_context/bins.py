"""A belief about a number as a belief over twelve intervals, each with a letter, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.models.in_context.posterior import Predictive

LETTERS = tuple("ABCDEFGHIJKL")
LOWEST_BORDER, STEP = -2.5, 0.5
BORDERS = tuple(LOWEST_BORDER + STEP * place for place in range(len(LETTERS) - 1))
"""The intervals at both ends are open."""
CENTRES = tuple(LOWEST_BORDER + STEP * (place - 0.5) for place in range(len(LETTERS)))
"""The middle of each interval; of the open ones, where it would be if they were as wide."""


def letter(value: float) -> str:
    """Return the letter of the interval that a number lies in; on a border, of the upper one."""
    return LETTERS[sum(border <= value for border in BORDERS)]


def probabilities(belief: Predictive) -> Tensor:
    """Return the probability [..., 12] of each interval."""
    below = torch.stack([belief.below(border) for border in BORDERS], -1)
    ends = torch.zeros_like(below[..., :1])
    return torch.diff(torch.cat([ends, below, ends + 1], -1)).clamp(min=0)


def over_letters(belief: Predictive, *, grounds: str = "") -> list[Belief]:
    """Return beliefs over letters, of beliefs about [B] numbers."""
    return [Belief.of(LETTERS, row, grounds=grounds) for row in probabilities(belief).tolist()]


def expected(beliefs: Sequence[Belief]) -> Tensor:
    """Return the mean [B] of beliefs over letters, float64: each interval counts as its middle."""
    rows = torch.tensor([belief.probabilities for belief in beliefs], dtype=torch.float64)
    return rows @ torch.tensor(CENTRES, dtype=torch.float64)
