"""Model selection in context (Yadlowsky et al., 2023, arXiv:2311.00871): one network of two families beside one of each.

Where the paper has 8 and more dimensions, squared error and functions without noise, ours has 4, a density, and noise of 0.25.
"Foreign" is a specialist asked about the other family. Outside: functions that are half of one family and half of the other.
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from agents.beliefs.claims import Claim
from agents.models.in_context.claims import FRESH, FRESH_SEED, Pairs
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.families import Points, draw, kinds_of
from agents.models.in_context.model import Learner
from agents.models.in_context.posterior import bayes, families
from agents.models.in_context.training import Recipe, learner
from agents.pretrained import Progress

FAMILIES = ("linear", "sparse")
RECIPE = Recipe(steps=1500)
FIRST, LAST = 3, 6
"""Numbers of examples that errors are averaged over: where knowing the family matters most."""
MIXES = (0.0, 0.25, 0.5)
"""Share of the dense part in functions between the families; at 0 it is sparse."""


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return how a network of two families fares beside one of each; every learner is kept under `out`.

    Args:
        out: learners that are there are not trained again.
        seeds: training seeds, from 0.
        data: not needed; functions are drawn.
        progress: told of each step that takes time.
    """
    del data
    figures: Pairs = {}
    for seed in range(seeds):
        both, *own = (
            learner(out, LearnerConfig(names), RECIPE, seed=seed, progress=progress)
            for names in (FAMILIES, *((name,) for name in FAMILIES))
        )
        generator = torch.Generator().manual_seed(FRESH_SEED + seed)
        for place, name in enumerate(FAMILIES):
            points = draw(kinds_of(name, both.config.dims), FRESH, LAST + 1, generator)
            mixed, specialist, foreign = (_error(each, points) for each in (both, own[place], own[1 - place]))
            figures.setdefault(NEAR[place], []).append((mixed / specialist, 1.0))
            figures.setdefault(FOREIGN[place], []).append((foreign / mixed, 1.0))
        _selection(figures, both, seed)
        _between(figures, both, seed)
    return [
        Claim(text, tuple(a for a, _ in pairs), tuple(b for _, b in pairs), *ASKED[text])
        for text, pairs in figures.items()
    ]


NEAR = tuple(
    f"{name} functions, 3 to 6 examples: error of the mixture's network, over the specialist's" for name in FAMILIES
)
FOREIGN = tuple(
    f"{name} functions: error of the other family's specialist, over the mixture's network's" for name in FAMILIES
)
TELLS = "6 examples: right about the family, near exact Bayes"
BELIEVES = "6 examples: log-probability of the family, near exact Bayes' (nats)"
OUTSIDE = "halfway between the families: excess over exact Bayes for that mix, above the excess inside"
RISES = "a quarter of the way: the same"
ASKED: dict[str, tuple[float | None, float | None]] = {
    **dict.fromkeys(NEAR, (None, 0.25)),
    **dict.fromkeys(FOREIGN, (0.5, None)),
    TELLS: (None, 0.05),
    BELIEVES: (None, 0.05),
    OUTSIDE: (0.0, None),
    RISES: (0.0, None),
}


@torch.inference_mode()
def _said(made: Learner, points: Points) -> tuple[Tensor, Tensor]:
    """Return means [B, K] and the families' log-probabilities [B, K, G]."""
    said = made(points.x.float(), points.y.float())
    return said.mean.double(), torch.log_softmax(said.families.double(), -1)


def _error(made: Learner, points: Points) -> float:
    """Return the mean squared distance from the function after FIRST to LAST examples."""
    off = _said(made, points)[0] - points.value
    return float(off[:, FIRST : LAST + 1].square().mean())


def _selection(figures: Pairs, both: Learner, seed: int) -> None:
    kinds = both.config.kinds()
    points = draw(kinds, FRESH, LAST + 1, torch.Generator().manual_seed(FRESH_SEED + seed + 1))
    truth = torch.tensor([FAMILIES.index(kind.family) for kind in kinds])[points.kind]
    exact = families(kinds, bayes(kinds, points.x[:, :LAST], points.y[:, :LAST], points.x[:, LAST]))
    best = torch.stack([exact[name] for name in FAMILIES], -1).clamp(min=1e-12).log()
    ours = _said(both, points)[1][:, LAST]
    right, optimum = (float((each.argmax(-1) == truth).double().mean()) for each in (ours, best))
    figures.setdefault(TELLS, []).append((right, optimum))
    said, could = (float(each.gather(-1, truth[:, None]).mean()) for each in (ours, best))
    figures.setdefault(BELIEVES, []).append((said, could))


def between(share: float, functions: int, dims: int, generator: torch.Generator) -> tuple[Points, Tensor]:
    """Return functions a f + b g, f linear and g sparse, a² = share and a² + b² = 1, and the exact mean of their last value [B].

    The exact mean knows the share: a sum of Gaussian weights is Gaussian, of variance a² / d, and b² more where g's weight is.
    """
    dense, thin = kinds_of("linear", dims), kinds_of("sparse", dims)
    points = draw(thin, functions, LAST + 1, generator, spread=1.0)
    weights = torch.randn(functions, dims, generator=generator, dtype=torch.float64) * dense[0].variance.sqrt()
    value = (share**0.5) * (points.x @ weights[..., None])[..., 0] + ((1 - share) ** 0.5) * points.value
    y = value + points.y - points.value
    kinds = [replace(kind, variance=share * dense[0].variance + (1 - share) * kind.variance) for kind in thin]
    exact = bayes(kinds, points.x[:, :LAST], y[:, :LAST], points.x[:, LAST])
    return Points(points.x, y, value, points.kind), exact.mean


def _between(figures: Pairs, both: Learner, seed: int) -> None:
    lost = []
    for share in MIXES:
        points, exact = between(share, FRESH, both.config.dims, torch.Generator().manual_seed(FRESH_SEED + seed + 2))
        said, value = _said(both, points)[0][:, LAST], points.value[:, LAST]
        lost.append(float((said - value).square().mean() - (exact - value).square().mean()))
    figures.setdefault(RISES, []).append((lost[1], lost[0]))
    figures.setdefault(OUTSIDE, []).append((lost[2], lost[0]))
