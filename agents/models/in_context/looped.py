"""A network with a loop in it (AlgoFormer: Gao et al., 2024, arXiv:2402.13572) beside a plain one of equal parameters.

One layer before, one that runs so many times and is given what the first one said again each time, one after. Task: regression on
features that are the same in every function (`representation`), which the first layer can compute. The sizes are ours, the
looped layer's training is that of github Leiay/looped_transformer; the authors' repository was not to be had.
"""

from pathlib import Path

import torch

from agents.beliefs.claims import Claim
from agents.models.in_context.claims import FRESH, FRESH_SEED, Pairs
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.families import Points, draw
from agents.models.in_context.model import Learner
from agents.models.in_context.training import Recipe, learner
from agents.pretrained import Progress

LOOPS = 8
LOOPED = LearnerConfig(("representation",), layers=3, loops=LOOPS)
PLAIN = LearnerConfig(("representation",), layers=3)
RECIPE = Recipe(steps=1500)
EXAMPLES = 12


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what loops are good for at our size; every learner is kept under `out`.

    Args:
        out: learners that are there are not trained again.
        seeds: training seeds, from 0.
        data: not needed; functions are drawn.
        progress: told of each step that takes time.
    """
    del data
    figures: Pairs = {}
    for seed in range(seeds):
        looped, plain = (learner(out, config, RECIPE, seed=seed, progress=progress) for config in (LOOPED, PLAIN))
        points = draw(LOOPED.kinds(), FRESH, EXAMPLES + 1, torch.Generator().manual_seed(FRESH_SEED + seed))
        half, whole, more, twice = (error(looped, points, loops) for loops in (LOOPS // 2, LOOPS, LOOPS + 4, 2 * LOOPS))
        figures.setdefault(EQUAL, []).append((1 - whole / error(plain, points), 0.0))
        figures.setdefault(HALF, []).append((half / whole, 1.0))
        figures.setdefault(MORE, []).append((whole / more, 1.0))
        figures.setdefault(TWICE, []).append((twice / whole, 1.0))
    return [
        Claim(text, tuple(a for a, _ in pairs), tuple(b for _, b in pairs), *ASKED[text])
        for text, pairs in figures.items()
    ]


EQUAL = "12 examples: share of a plain network's error that the looped one of equal parameters saves"
HALF = "error after half of the loops, over that after all 8"
MORE = "error after 8 loops, over that after 12, more than in training"
TWICE = "error after 16 loops, over that after 8: no explosion"
ASKED: dict[str, tuple[float | None, float | None]] = {
    EQUAL: (0.2, None),
    HALF: (0.1, None),
    MORE: (0.0, None),
    TWICE: (None, 0.25),
}


@torch.inference_mode()
def error(made: Learner, points: Points, loops: int | None = None) -> float:
    """Return the mean squared distance from the function at the last point."""
    said = made(points.x.float(), points.y.float(), loops=loops)
    return float((said.mean[:, -1].double() - points.value[:, -1]).square().mean())
