"""A learner of conjunctions and majorities on a real table: Wisconsin's breast cancers (Street et al., 1993; scikit-learn's).

Each context is random rows of it: ten mean features, each above its median or not, and whether the tumour is benign. Nobody drew
these labels from a family that the learner knows.
"""

from pathlib import Path

import torch

from agents.beliefs.claims import Claim, claims_of
from agents.errors import MissingDependency
from agents.models.discrete_functions.config import LearnerConfig
from agents.models.discrete_functions.families import Points
from agents.models.discrete_functions.optimal import Evidence, neighbours
from agents.models.discrete_functions.training import FRESH_SEED, Recipe, is_right, trained
from agents.pretrained import Progress

FEATURES = 10
FEWEST = 20
SIZES = LearnerConfig(dims=FEATURES, points=41)
RECIPE = Recipe(steps=1500, batch=32)
CONTEXTS = 500
KNOWN = ("conjunction", "majority")


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what a learner makes of the table after 20 to 40 rows; learners are kept under `out`.

    Args:
        out: learners that are there are not trained again.
        seeds: training seeds, from 0.
        data: not needed; the table is in scikit-learn (extra series).
        progress: told of each step that takes time.
    """
    del data
    figures: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        learner = trained(out, KNOWN, seed, progress, sizes=SIZES, recipe=RECIPE)
        points = rows(CONTEXTS, SIZES.points, seed=FRESH_SEED + seed)
        ours = float(is_right(learner, points)[:, FEWEST:].mean())
        near = [
            (neighbours(Evidence(x[:k], y[:k]), x[k]) > 0.5) == bool(y[k] > 0)
            for x, y in zip(points.x, points.y, strict=True)
            for k in range(FEWEST, SIZES.points)
        ]
        figures.setdefault(NEAREST, []).append((ours, sum(near) / len(near)))
        share = float((points.y > 0).float().mean())
        figures.setdefault(NULL, []).append((ours, max(share, 1 - share)))
    return claims_of(figures, ASKED)


NEAREST = "breast cancers, 20 to 40 rows, accuracy: above the nearest neighbour's"
NULL = "the same: above always saying benign"
ASKED: dict[str, tuple[float | None, float | None]] = {NEAREST: (0.0, None), NULL: (0.1, None)}


def rows(contexts: int, points: int, *, seed: int) -> Points:
    """Return random rows of the table, [B, K, 10] of -1 and +1, benign as +1.

    Raises:
        MissingDependency: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ModuleNotFoundError as error:
        raise MissingDependency("the table of breast cancers", "scikit-learn", "series") from error
    bunch = load_breast_cancer()
    values = torch.tensor(bunch.data[:, :FEATURES])
    x = torch.where(values > values.median(0).values, 1.0, -1.0).float()
    y = torch.tensor(bunch.target).float() * 2 - 1
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.stack([torch.randperm(len(x), generator=generator)[:points] for _ in range(contexts)])
    return Points(x[chosen], y[chosen])
