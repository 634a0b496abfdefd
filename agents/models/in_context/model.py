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

from agents.errors import RequestError
from agents.models.discrete_functions.model import Block
from agents.models.in_context.config import LearnerConfig

LOWEST, HIGHEST = -8.0, 6.0
"""What a log-variance is kept between: without bounds the loss diverges."""
WINDOW = 4
"""How many of a looped network's last loops the loss is averaged over."""


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

    def forward(self, x: Tensor, y: Tensor, *, loops: int | None = None) -> Said:
        """Return the beliefs, the one at k from points before k and x at k.

        Args:
            x: [B, K, d].
            y: [B, K]; the last one is not looked at.
            loops: how often a looped network loops; as in training by default.

        Raises:
            RequestError: more points than the learned positions hold, another number of dimensions, or loops of a plain network.
        """
        return self._read(self.states(x, y, loops=loops)[-1])

    def window(self, x: Tensor, y: Tensor) -> list[Said]:
        """Return what a looped network says after each of its last loops, with gradients through these alone; else what it says.

        As in github Leiay/looped_transformer, from which Gao et al. (2024) start.
        """
        if not self.config.loops:
            return [self(x, y)]
        first = self.blocks[0](self._embedded(x, y))
        z = torch.zeros_like(first)
        with torch.no_grad():
            for _ in range(self.config.loops - WINDOW):
                z = self.blocks[1](z + first)
        found = []
        for _ in range(min(WINDOW, self.config.loops)):
            z = self.blocks[1](z + first)
            found.append(self._read(self.blocks[2](z)))
        return found

    def states(self, x: Tensor, y: Tensor, *, loops: int | None = None) -> list[Tensor]:
        """Return what enters the first block and what leaves each that runs, [B, K, D]."""
        if loops is not None and (not self.config.loops or loops < 1):
            raise RequestError(
                f"loops are at least 1, and of a looped network; got {loops} and {self.config.loops} in training"
            )
        found = [self._embedded(x, y)]
        if not self.config.loops:
            for block in self.blocks:
                found.append(block(found[-1]))
            return found
        found.append(self.blocks[0](found[-1]))
        first, z = found[-1], torch.zeros_like(found[-1])
        for _ in range(loops or self.config.loops):
            z = self.blocks[1](z + first)
            found.append(z)
        return [*found, self.blocks[2](z)]

    def _read(self, state: Tensor) -> Said:
        found = self.read_out(self.norm(state))
        return Said(found[..., 0], found[..., 1].clamp(LOWEST, HIGHEST), found[..., 2:])

    def _embedded(self, x: Tensor, y: Tensor) -> Tensor:
        _, points, dims = x.shape
        if dims != self.config.dims or points > self.config.points:
            raise RequestError(
                f"this learner takes points of {self.config.dims} values and at most {self.config.points} of them, the "
                f"asked one included; got {points} of {dims} values. Train one for that size."
            )
        found: Tensor = self.read_in(tokens(x, y)) + self.positions(torch.arange(points))
        return found


def tokens(x: Tensor, y: Tensor) -> Tensor:
    """Return [x_k, x_(k−1), y_(k−1)] [B, K, 2 d + 1] of x [B, K, d], y [B, K], zeros before the first; without the last label."""
    before = torch.cat([x, y[..., None]], -1)[:, :-1]
    return torch.cat([x, functional.pad(before, (0, 0, 1, 0))], -1)
