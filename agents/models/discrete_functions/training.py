"""The recipe of the in-context learner: fresh functions at every step, binary cross-entropy at every x, Adam."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from agents.models.discrete_functions.config import LearnerConfig
from agents.models.discrete_functions.families import draw, taught
from agents.models.discrete_functions.model import Learner

Progress = Callable[[str], None]
TAUGHT = "taught_conjunction"
"""Monotone conjunctions with a teaching sequence in front, beside the families of `families.py`."""


@dataclass(frozen=True)
class Recipe:
    """How it is trained. The paper has 15,000 to 20,000 steps of 64 at 1e-4 for a network of d = 256."""

    steps: int = 3000
    batch: int = 64
    learning_rate: float = 1e-3
    warmup: int = 200


def train(config: LearnerConfig, recipe: Recipe, *, seed: int, progress: Progress = lambda _: None) -> Learner:
    """Return a trained learner; the same seed gives the same weights on one machine."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        learner = Learner(config)
    optimiser = torch.optim.Adam(learner.parameters(), lr=recipe.learning_rate)
    for step in range(recipe.steps):
        family = config.families[step % len(config.families)]
        if family == TAUGHT:
            points, _ = taught(recipe.batch, config.points, config.dims, generator)
        else:
            points = draw(family, recipe.batch, config.points, config.dims, generator)
        loss = functional.binary_cross_entropy_with_logits(learner(points.x, points.y), (points.y + 1) / 2)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        # Up for `warmup` steps, down to 0 over the last three tenths.
        share = min(1.0, (step + 1) / recipe.warmup, (1 - step / recipe.steps) / 0.3)
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * share
        optimiser.step()
        if (step + 1) % 500 == 0:
            progress(f"step {step + 1} of {recipe.steps}: loss {loss.item():.4f}")
    return learner.eval()


@torch.inference_mode()
def accuracy_by_place(learner: Learner, family: str, functions: int, generator: torch.Generator) -> list[float]:
    """Return the share of right labels at each point of fresh functions."""
    points = draw(family, functions, learner.config.points, learner.config.dims, generator)
    right = (learner(points.x, points.y) > 0) == (points.y > 0)
    return [float(share) for share in right.float().mean(0)]
