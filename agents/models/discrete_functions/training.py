"""The recipe of the in-context learner: fresh functions at every step, binary cross-entropy at every x, Adam."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.claims import Claim, claims_of
from agents.errors import ConfigError
from agents.models.discrete_functions.backend import CONFIG, DiscreteFunctions
from agents.models.discrete_functions.config import LearnerConfig
from agents.models.discrete_functions.families import Points, draw, taught
from agents.models.discrete_functions.model import Learner
from agents.models.discrete_functions.optimal import Evidence, bayes, neighbours
from agents.models.seeded import seeded
from agents.pretrained import Progress

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
    learner = seeded(lambda: Learner(config), seed)
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


FRESH = 4000
"""Functions that a figure is measured on."""
FRESH_SEED = 10_000


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what of the paper's findings holds for learners of our size; every learner is kept under `out`.

    Args:
        out: learners that are there are not trained again.
        seeds: training seeds, from 0.
        data: not needed; functions are drawn.
        progress: told of each step that takes time.
    """
    del data
    figures: dict[str, list[tuple[float, float]]] = {}

    def note(text: str, ours: float, baseline: float) -> None:
        figures.setdefault(text, []).append((ours, baseline))

    for seed in range(seeds):
        plain, odd, pupil = (
            trained(out, families, seed, progress)
            for families in (("conjunction",), ("parity",), ("conjunction", TAUGHT))
        )
        generator = torch.Generator().manual_seed(FRESH_SEED + seed)
        points = draw("conjunction", FRESH, plain.config.points, plain.config.dims, generator)
        last = is_right(plain, points)[:, -1].mean()
        known = [(Evidence(x[:-1], y[:-1]), x[-1]) for x, y in zip(points.x, points.y, strict=True)]
        right = points.y[:, -1] > 0
        near = _share([neighbours(evidence, asked) > 0.5 for evidence, asked in known], right)
        best = _share([bayes(evidence, asked) > 0.5 for evidence, asked in known], right)
        note(NEAREST, float(last), near)
        note(NULL, float(last), max(float(right.float().mean()), 1 - float(right.float().mean())))
        note(OPTIMUM, float(last), best)
        parities = draw("parity", FRESH, odd.config.points, odd.config.dims, generator)
        note(PARITY, float(is_right(odd, parities)[:, -1].mean()), 0.5)
        lessons, lengths = taught(FRESH, plain.config.points, plain.config.dims, generator)
        after = lengths.clamp(max=plain.config.points - 1)[:, None]
        note(TEACHING, *(float(is_right(each, lessons).gather(1, after).mean()) for each in (pupil, plain)))
    asked = {
        NEAREST: (0.05, None),
        NULL: (0.2, None),
        OPTIMUM: (None, 0.05),
        PARITY: (None, 0.03),
        TEACHING: (0.05, None),
    }
    return claims_of(figures, asked)


NEAREST = "conjunctions, accuracy at the last point: above the nearest neighbour's"
NULL = "conjunctions, accuracy at the last point: above always saying the commoner label"
OPTIMUM = "conjunctions, accuracy at the last point: near the exact belief's"
PARITY = "parity, accuracy at the last point: chance"
TEACHING = "right after a teaching sequence: trained with such sequences, above a learner that was not"


def trained(
    out: Path,
    families: tuple[str, ...],
    seed: int,
    progress: Progress,
    *,
    sizes: LearnerConfig | None = None,
    recipe: Recipe | None = None,
) -> Learner:
    """Return the learner of families and a seed, trained unless it lies under `out`; sizes and recipe are ours by default.

    Raises:
        ConfigError: the folder has a learner of other sizes.
    """
    folder = out / f"{'-'.join(families)}-{seed}"
    config = replace(sizes or LearnerConfig(), families=families)
    if not (folder / CONFIG).is_file():
        progress(f"training on {', '.join(families)}, seed {seed}")
        made = train(config, recipe or Recipe(), seed=seed, progress=progress)
        DiscreteFunctions("learner", learner=made).save_pretrained(folder)
    learner = DiscreteFunctions.from_pretrained(str(folder)).learner
    assert learner is not None
    if learner.config != config:
        raise ConfigError(
            f"{folder} has a learner of {learner.config.sizes}, and {config.sizes} is asked for; "
            "give another folder for this recipe"
        )
    return learner


@torch.inference_mode()
def is_right(learner: Learner, points: Points) -> Tensor:
    """Return 1 where the label at a point is believed rightly [B, K], else 0."""
    found: Tensor = (learner(points.x, points.y) > 0) == (points.y > 0)
    return found.float()


def _share(said: list[bool], right: Tensor) -> float:
    return float((torch.tensor(said) == right).float().mean())
