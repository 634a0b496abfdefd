"""The recipe of what learns in context: fresh functions at every step, a loss at every x, Adam."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.errors import ConfigError
from agents.models.checkpoint import CONFIG, load_model, save_model
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.families import draw
from agents.models.in_context.looped import learner_of
from agents.models.in_context.model import Learner, Said
from agents.models.seeded import seeded
from agents.pretrained import Progress

FAMILY_SHARE = VARIANCE_SHARE = 0.1
"""Weight of the cross-entropy of families beside that of labels, and of the variance beside a squared error."""
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The papers have 10⁵ steps and more, of networks a hundred times as large.

    Attributes:
        steps, batch, learning_rate, warmup: of Adam; functions in a batch, steps up to the full rate.
        loss: `density`, the label's negative log-density; or `squared`, the squared error of the mean, to which the variance is
            fitted beside it.
    """

    steps: int = 3000
    batch: int = 32
    learning_rate: float = 2e-3
    warmup: int = 100
    loss: Literal["density", "squared"] = "density"


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


def squared_loss(said: Said, y: Tensor) -> Tensor:
    """Return the mean squared error of means, and a tenth of the density's loss, which moves the variances alone."""
    beside = gaussian_loss(Said(said.mean.detach(), said.log_variance, said.families), y)
    return (y - said.mean).square().mean() + VARIANCE_SHARE * beside


LOSSES: dict[str, Callable[[Said, Tensor], Tensor]] = {"density": gaussian_loss, "squared": squared_loss}


def train(config: LearnerConfig, recipe: Recipe, *, seed: int, progress: Progress = lambda _: None) -> Learner:
    """Return a trained learner."""
    kinds = config.kinds()
    which = torch.tensor([config.families.index(kind.family) for kind in kinds])

    def loss(learner: Learner, generator: torch.Generator) -> Tensor:
        points = draw(kinds, recipe.batch, config.points, generator)
        x, y = points.x.float(), points.y.float()
        said = learner(x, y)
        found = LOSSES[recipe.loss](said, y)
        if said.families.shape[-1]:
            family = which[points.kind][:, None].expand(-1, config.points)
            found = found + FAMILY_SHARE * functional.cross_entropy(said.families.flatten(0, 1), family.flatten())
        return found

    return fit(seeded(lambda: Learner(config), seed), loss, recipe, seed=seed, progress=progress)


def load_learner(folder: Path) -> Learner:
    """Return the learner of a folder.

    Raises:
        ModelError: no such learner there.
    """
    return load_model(folder, "in-context learner", learner_of)[0].eval()


def learner(
    out: Path, config: LearnerConfig, recipe: Recipe, *, seed: int, progress: Progress, name: str | None = None
) -> Learner:
    """Return the learner of a seed, trained unless it lies under `out`; its folder is called by its families, or a name.

    Raises:
        ConfigError: the folder has a learner of other sizes, families or noise.
    """
    folder = out / f"{name or '-'.join(config.families)}-{seed}"
    return kept(folder, config, lambda: train(config, recipe, seed=seed, progress=progress), progress)


def kept(folder: Path, config: LearnerConfig, made: Callable[[], Learner], progress: Progress) -> Learner:
    """Return the learner of a folder, made and saved first where there is none.

    Raises:
        ConfigError: the folder has a learner of another config.
    """
    if not (folder / CONFIG).is_file():
        progress(f"training {folder.name}")
        save_model(folder, made(), config.sizes)
    found = load_learner(folder)
    have, asked = found.config.sizes, config.sizes
    if have != asked:
        names = [name for name in {**asked, **have} if have.get(name) != asked.get(name)]
        raise ConfigError(
            f"{folder} has a learner with {', '.join(f'{name}={have.get(name)}' for name in names)}, and "
            f"{', '.join(f'{name}={asked.get(name)}' for name in names)} is asked for; give another folder for this recipe"
        )
    return found
