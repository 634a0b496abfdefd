"""The recipe of what learns in context: fresh functions at every step, a loss at every x, Adam."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.checkpoint import CONFIG, load_model, save_model
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.families import draw
from agents.models.in_context.looped import LoopedConfig, LoopedLearner
from agents.models.in_context.model import Learner, Said
from agents.models.seeded import seeded
from agents.pretrained import Progress

FAMILY_SHARE = 0.1
"""Weight of the cross-entropy of families beside that of labels."""
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The papers have 10⁵ steps and more, of networks a hundred times as large.

    Attributes:
        steps, batch, learning_rate, warmup: of Adam.
        window: loops at the end that have a loss, of a learner that loops; those before them have no gradient.
    """

    steps: int = 3000
    batch: int = 32
    learning_rate: float = 2e-3
    warmup: int = 100
    window: int = 2


def fit(
    model: M,
    loss: Callable[[M, torch.Generator], Tensor],
    recipe: Recipe,
    *,
    seed: int,
    progress: Progress = lambda _: None,
) -> M:
    """Return the model, trained on a loss that draws its own batch; the same seed gives the same weights on one machine."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    for step in range(recipe.steps):
        found = loss(model, generator)
        optimiser.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        # Up for `warmup` steps, down to 0 over the last half.
        share = min(1.0, (step + 1) / recipe.warmup, (1 - step / recipe.steps) / 0.5)
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * share
        optimiser.step()
        if (step + 1) % 500 == 0:
            progress(f"step {step + 1} of {recipe.steps}: loss {found.item():.4f}")
    return model.eval()


def gaussian_loss(said: Said, y: Tensor) -> Tensor:
    """Return the mean negative log-density of labels [B, K], nats without the constant: (log s² + (y − μ)² / s²) / 2."""
    return 0.5 * (said.log_variance + (y - said.mean).square() * torch.exp(-said.log_variance)).mean()


def loops_at(step: int, config: LoopedConfig, recipe: Recipe) -> int:
    """Return how many loops a learner makes at a step of its training: from `window` up to all at half of the steps."""
    first = min(recipe.window, config.loops)
    return min(config.loops, first + (config.loops - first) * 2 * step // recipe.steps)


def train(config: LearnerConfig, recipe: Recipe, *, seed: int, progress: Progress = lambda _: None) -> Learner:
    """Return a trained learner; of one that loops the loss is the mean over the last `window` of its loops."""
    kinds = config.kinds()
    steps = itertools.count()
    which = torch.tensor([config.families.index(kind.family) for kind in kinds])

    def loss(learner: Learner, generator: torch.Generator) -> Tensor:
        points = draw(kinds, recipe.batch, config.points, generator)
        x, y = points.x.float(), points.y.float()
        family = which[points.kind][:, None].expand(-1, config.points).flatten()
        if isinstance(learner, LoopedLearner):
            loops = loops_at(next(steps), learner.config, recipe)
            every = learner.said(x, y, loops=loops, window=min(recipe.window, loops))
        else:
            every = [learner(x, y)]
        losses = []
        for said in every:
            found = gaussian_loss(said, y)
            if said.families.shape[-1]:
                found = found + FAMILY_SHARE * functional.cross_entropy(said.families.flatten(0, 1), family)
            losses.append(found)
        return torch.stack(losses).mean()

    return fit(seeded(lambda: made(config), seed), loss, recipe, seed=seed, progress=progress)


def made(config: LearnerConfig) -> Learner:
    """Return an untrained learner of these sizes."""
    return LoopedLearner(config) if isinstance(config, LoopedConfig) else Learner(config)


def _config(sizes: dict[str, Any]) -> LearnerConfig:
    return LoopedConfig(**sizes) if "loops" in sizes else LearnerConfig(**sizes)


def load_learner(folder: Path) -> Learner:
    """Return the learner of a folder.

    Raises:
        ModelError: no such learner there.
    """
    return load_model(folder, "in-context learner", lambda sizes: made(_config(sizes)))[0].eval()


def learner(
    out: Path, config: LearnerConfig, recipe: Recipe, *, seed: int, progress: Progress, name: str = ""
) -> Learner:
    """Return the learner of a seed, trained unless it lies under `out`; its folder's name is `name`, families and seed."""
    folder = out / "-".join([*([name] if name else []), *config.families, str(seed)])
    if not (folder / CONFIG).is_file():
        progress(f"training {folder.name}")
        made = train(config, recipe, seed=seed, progress=progress)
        save_model(folder, made, config.sizes)
    return load_learner(folder)
