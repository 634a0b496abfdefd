"""A learner that loops: blocks before, blocks that are repeated, blocks after (AlgoFormer, Gao et al., 2024, arXiv:2402.13572).

    e = before(read-in),  z_0 = 0,  z_(t+1) = norm(looped(z_t + e)),  what it says after t loops = read-out(norm(after(z_t)))

Adding e in every loop, the norm in the loop, and a loss at the last loops alone with no gradient through those before them, are
of the looped transformer (Yang et al., 2024, arXiv:2311.12424), which is this one without blocks before and after. With one loop
it is a plain transformer. Ours are the tokens (`model.py`), the sizes, and that a variance is said as well.

How many loops it makes is decided in use (`at`): they may be more than in training, or fewer.

B functions, K points, d dimensions, D width, T loops.
"""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from agents.errors import ConfigError
from agents.models.discrete_functions.model import Block, refuse_size
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.model import HIGHEST, LOWEST, Learner, Said, tokens
from agents.models.stored import made_of

MOST_LOOPS = 1000
"""Most loops in use: what is asked of an agent has to end."""


@dataclass(frozen=True)
class LoopedConfig(LearnerConfig):
    """What a learner that loops is; `layers` are the blocks that are repeated.

    Attributes:
        before, after: blocks before the loop and after it.
        loops: T, of training; in use where nothing else is said.
        adds_input: e is added in every loop; else it is where the loop begins, z_0 = e.
    """

    before: int = 0
    after: int = 0
    loops: int = 1
    adds_input: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.before, self.after) < 0:
            raise ConfigError(f"blocks before and after the loop are 0 or more; got {self.before} and {self.after}")
        refuse_loops(self.loops)


def refuse_loops(loops: int) -> None:
    """Raise ConfigError for a number of loops that is none."""
    if not 1 <= loops <= MOST_LOOPS:
        raise ConfigError(f"loops must be from 1 to {MOST_LOOPS}; got {loops}")


class LoopedLearner(Learner):
    """A belief at every point, from the points before it, after any number of loops."""

    config: LoopedConfig

    def __init__(self, config: LoopedConfig) -> None:
        super().__init__(config)
        self.before = nn.ModuleList([Block(config.width, config.heads) for _ in range(config.before)])
        self.after = nn.ModuleList([Block(config.width, config.heads) for _ in range(config.after)])
        self.last = nn.LayerNorm(config.width) if config.after else nn.Identity()

    def at(self, loops: int) -> "LoopedLearner":
        """Return the same network, of the same weights, that makes so many loops.

        Raises:
            ConfigError: fewer loops than one, or more than `MOST_LOOPS`.
        """
        found = copy.copy(self)
        found.config = replace(self.config, loops=loops)
        return found

    def forward(self, x: Tensor, y: Tensor) -> Said:
        """Return the beliefs after `config.loops` loops, the one at k from points before k and x at k.

        Args:
            x: [B, K, d].
            y: [B, K]; the last one is not looked at.

        Raises:
            RequestError: more points than the learned positions hold, or another number of dimensions.
        """
        return self.said(x, y, loops=self.config.loops, window=1)[-1]

    def said(self, x: Tensor, y: Tensor, *, loops: int, window: int) -> list[Said]:
        """Return what it says after each of the last `window` of so many loops; those before have no gradient.

        Raises:
            RequestError: as `forward`.
            ConfigError: loops or a window that are none.
        """
        refuse_size(x, points=self.config.points, dims=self.config.dims)
        given = self.read_in(tokens(x, y)) + self.positions(torch.arange(x.shape[1]))
        for block in self.before:
            given = block(given)
        return self.after_loops(given, loops=loops, window=window)

    def after_loops(self, given: Tensor, *, loops: int, window: int) -> list[Said]:
        """Return the same of e [B, K, D].

        Raises:
            ConfigError: as `said`.
        """
        refuse_loops(loops)
        if not 1 <= window <= loops:
            raise ConfigError(f"a window is from 1 loop to all {loops}; got {window}")
        z = torch.zeros_like(given) if self.config.adds_input else given
        found = []
        for loop in range(loops):
            is_said = loop >= loops - window
            with torch.set_grad_enabled(is_said and torch.is_grad_enabled()):
                z = self.looped(z, given)
            if is_said:
                found.append(self.read(z))
        return found

    def looped(self, z: Tensor, given: Tensor) -> Tensor:
        """Return z [B, K, D] after one loop more; `given` is e [B, K, D]."""
        h = z + given if self.config.adds_input else z
        for block in self.blocks:
            h = block(h)
        found: Tensor = self.norm(h)
        return found

    def read(self, z: Tensor) -> Said:
        """Return what z [B, K, D] says."""
        for block in self.after:
            z = block(z)
        found = self.read_out(self.last(z))
        return Said(found[..., 0], found[..., 1].clamp(LOWEST, HIGHEST), found[..., 2:])


def learner_of(sizes: dict[str, Any]) -> Learner:
    """Return an untrained learner of the sizes that one was saved with, one that loops where they say how often."""
    return LoopedLearner(made_of(LoopedConfig, sizes)) if "loops" in sizes else Learner(made_of(LearnerConfig, sizes))
