"""Does one network learn in two ways, from a teaching sequence at once and from random examples as before? (Bhattamishra et al.,
2024, arXiv:2310.03016, section 5.)

The pupil saw conjunctions, and monotone conjunctions that begin with a teaching sequence, in turn; the other learner conjunctions
alone. Elimination does not know that it is taught: all negative examples of a lesson are lost on it.
"""

from pathlib import Path

import torch
from torch import Tensor

from agents.beliefs.claims import Claim, claims_of
from agents.models.discrete_functions import training
from agents.models.discrete_functions.families import Points, draw, monotone, taught
from agents.models.discrete_functions.optimal import Evidence, elimination
from agents.models.discrete_functions.training import FRESH_SEED, TAUGHT, is_right, trained
from agents.pretrained import Progress


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what a pupil makes of lessons and of random examples; learners are kept under `out`.

    Args:
        out: learners that are there, those of the first recipe too, are not trained again.
        seeds: training seeds, from 0.
        data: not needed; functions are drawn.
        progress: told of each step that takes time.
    """
    del data
    figures: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        plain, pupil = (
            trained(out, families, seed, progress) for families in (("conjunction",), ("conjunction", TAUGHT))
        )
        sizes, generator = pupil.config, torch.Generator().manual_seed(FRESH_SEED + seed)
        lessons, lengths = taught(training.FRESH, sizes.points, sizes.dims, generator)
        after = lengths.clamp(max=sizes.points - 1)[:, None]
        told = float(is_right(pupil, lessons).gather(1, after).mean())
        figures.setdefault(AT_ONCE, []).append((told, 0.99))
        figures.setdefault(NOT_TAUGHT, []).append((told, float(is_right(plain, lessons).gather(1, after).mean())))
        _, random = monotone(training.FRESH, sizes.points, sizes.dims, generator)
        same = float(is_right(pupil, random).gather(1, after).mean())
        figures.setdefault(BY_LESSON, []).append((told, same))
        figures.setdefault(ELIMINATION, []).append((told, _eliminated(lessons, after[:, 0])))
        ordinary = draw("conjunction", training.FRESH, sizes.points, sizes.dims, generator)
        ours, theirs = (float(is_right(each, ordinary)[:, -1].mean()) for each in (pupil, plain))
        figures.setdefault(AS_BEFORE, []).append((ours, theirs))
        later = torch.arange(sizes.points)[None] > after
        kept = (is_right(pupil, lessons) * later).sum() / later.sum()
        figures.setdefault(STAYS, []).append((float(kept), 0.99))
    return claims_of(figures, ASKED)


AT_ONCE = "right after a teaching sequence, accuracy: above 0.99"
STAYS = "at all later points, accuracy: above 0.99"
NOT_TAUGHT = "right after a teaching sequence: above a learner that never saw one"
BY_LESSON = "the same network: above itself after as many random examples"
ELIMINATION = "right after a teaching sequence: above elimination, which does not know that it is taught"
AS_BEFORE = "without one, conjunctions, last point: as a learner of conjunctions alone"
ASKED: dict[str, tuple[float | None, float | None]] = {
    AT_ONCE: (0.0, None),
    STAYS: (0.0, None),
    NOT_TAUGHT: (0.05, None),
    BY_LESSON: (0.05, None),
    ELIMINATION: (0.05, None),
    AS_BEFORE: (None, 0.03),
}


def _eliminated(lessons: Points, after: Tensor, most: int = 500) -> float:
    """Return how often elimination is right at a point [B] after the examples before it."""
    right = []
    for x, y, place in zip(lessons.x[:most], lessons.y[:most], after[:most].tolist(), strict=True):
        right.append(elimination(Evidence(x[:place], y[:place]), x[place]) == bool(y[place] > 0))
    return sum(right) / len(right)
