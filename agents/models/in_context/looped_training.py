"""The recipe of learners that loop: as of others, with a loss at the last loops, and more loops as it goes on."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from agents.models.in_context.families import draw
from agents.models.in_context.looped import LoopedConfig, LoopedLearner
from agents.models.in_context.training import Recipe, fit, gaussian_loss, kept
from agents.models.seeded import seeded
from agents.pretrained import Progress


@dataclass(frozen=True)
class LoopedRecipe(Recipe):
    """How a learner that loops is trained.

    Attributes:
        window: loops at the end that have a loss; those before them have no gradient.
    """

    steps: int = 1200
    learning_rate: float = 3e-3
    window: int = 2


def loops_at(step: int, config: LoopedConfig, recipe: LoopedRecipe) -> int:
    """Return how many loops a learner makes at a step of its training: from the window up to all at half of the steps."""
    first = min(recipe.window, config.loops)
    return min(config.loops, first + (config.loops - first) * 2 * step // recipe.steps)


def train(
    config: LoopedConfig, recipe: LoopedRecipe, *, seed: int, progress: Progress = lambda _: None
) -> LoopedLearner:
    """Return a trained learner of one family; the loss is the mean over the last `window` of its loops."""
    kinds = config.kinds()
    steps = itertools.count()

    def loss(learner: LoopedLearner, generator: torch.Generator) -> Tensor:
        points = draw(kinds, recipe.batch, config.points, generator)
        x, y = points.x.float(), points.y.float()
        loops = loops_at(next(steps), config, recipe)
        every = learner.said(x, y, loops=loops, window=min(recipe.window, loops))
        return torch.stack([gaussian_loss(said, y) for said in every]).mean()

    return fit(seeded(lambda: LoopedLearner(config), seed), loss, recipe, seed=seed, progress=progress)


def looped_learner(
    out: Path, name: str, config: LoopedConfig, recipe: LoopedRecipe, *, seed: int, progress: Progress
) -> LoopedLearner:
    """Return the learner of a seed, trained unless it lies under `out`.

    Raises:
        ConfigError: as `training.learner`.
    """
    folder = out / "-".join([name.replace(" ", "-"), *config.families, str(seed)])
    found = kept(folder, config, lambda: train(config, recipe, seed=seed, progress=progress), progress)
    assert isinstance(found, LoopedLearner)
    return found
