"""A GPT over examples of a function: at every point a belief about its label, and about which family the function is of.

A token is a point and the example before it, [x_k, x_(k−1), y_(k−1)]. The papers have points and labels in turn (Garg et al.,
2022; Akyürek et al., 2023); at the steps that a CPU takes in a minute that was no better than the prior, for attention must
first learn to join a label to its point. At each point two numbers are read, mean and log-variance (Liu et al., 2024,
arXiv:2405.15115), and a score a family where it was trained on several. Ours are the sizes, and the scores.

B functions, K points, d dimensions, D width, G families.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.discrete_functions.model import Block, refuse_size
from agents.models.in_context.config import LearnerConfig

LOWEST, HIGHEST = -8.0, 6.0
"""What a log-variance is kept between: without bounds the loss diverges."""


@dataclass(frozen=True)
class Said:
    """What a learner says at every point.

    Attributes:
        mean: [B, K].
        log_variance: [B, K], of the label, its noise included.
        families: [B, K, G] scores; G is 0 of a learner of one family.
    """

    mean: Tensor
    log_variance: Tensor
    families: Tensor


class Learner(nn.Module):
    """A belief at every point, from the points before it."""

    def __init__(self, config: LearnerConfig) -> None:
        super().__init__()
        self.config = config
        self.read_in = nn.Linear(2 * config.dims + 1, config.width)
        self.positions = nn.Embedding(config.points, config.width)
        self.blocks = nn.ModuleList([Block(config.width, config.heads) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(config.width)
        scores = len(config.families) if len(config.families) > 1 else 0
        self.read_out = nn.Linear(config.width, 2 + scores)

    def forward(self, x: Tensor, y: Tensor) -> Said:
        """Return the beliefs, the one at k from points before k and x at k.

        Args:
            x: [B, K, d].
            y: [B, K]; the last one is not looked at.

        Raises:
            RequestError: more points than the learned positions hold, or another number of dimensions.
        """
        found = self.read_out(self.norm(self.states(x, y)[-1]))
        return Said(found[..., 0], found[..., 1].clamp(LOWEST, HIGHEST), found[..., 2:])

    def states(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Return what the first block reads and what each block leaves, [B, K, D] each; x, y and errors as of `forward`."""
        refuse_size(x, points=self.config.points, dims=self.config.dims)
        found = [self.read_in(tokens(x, y)) + self.positions(torch.arange(x.shape[1]))]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found


def tokens(x: Tensor, y: Tensor) -> Tensor:
    """Return [x_k, x_(k−1), y_(k−1)] [B, K, 2 d + 1] of x [B, K, d], y [B, K], zeros before the first; without the last label."""
    before = torch.cat([x, y[..., None]], -1)[:, :-1]
    return torch.cat([x, functional.pad(before, (0, 0, 1, 0))], -1)
