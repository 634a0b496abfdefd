"""Uncertainty in context (Liu et al., 2024), and what of the optimum a belief carries to somebody who saw other examples."""

import json
import math
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from agents.beliefs.claims import Claim, claims_of
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.estimators import plug_in
from agents.models.in_context.families import LEVELS, Points, draw, kinds_of
from agents.models.in_context.messages import FORMS, Regret, Setting, passed, regrets
from agents.models.in_context.model import Learner
from agents.models.in_context.posterior import Predictive, bayes, gaussian
from agents.models.in_context.training import Recipe, learner
from agents.pretrained import Progress

LEARNER, RECIPE = LearnerConfig(("noisy",)), Recipe()
FRESH, FRESH_SEED = 4000, 10_000
FEW, TWO_LEFT, MANY = 5, 6, 15
UNSEEN_NOISE, WIDE = 2.0, 2.0
HALVES = (5, 5)
SETTINGS = (
    *(Setting(noise, *HALVES) for noise in (0.1, 0.3, 1.0)),
    *(Setting(0.3, own, others) for own, others in ((2, 8), (8, 2))),
)
DEBATED = 150
"""Functions that each setting is debated on."""
Pairs = dict[str, list[tuple[float, float]]]


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what holds of learners of our size; learners and `messages.json`, the whole table of regrets, lie under `out`.

    Args:
        out: learners that are there are not trained again.
        seeds: training seeds, from 0.
        data: not needed; functions are drawn.
        progress: told of each step that takes time.
    """
    del data
    figures: Pairs = {}
    table: list[dict[str, object]] = []
    for seed in range(seeds):
        made = learner(out, LEARNER, RECIPE, seed=seed, progress=progress)
        _uncertainty(figures, made, seed)
        _shifts(figures, made, seed)
        if find_spec("sklearn") is not None:
            _diabetes(figures, made, seed)
        else:
            progress("without scikit-learn (extra series) nothing is claimed about the table of diabetes")
        for setting in SETTINGS:
            progress(f"debates of seed {seed}: noise {setting.noise:g}, {setting.own} and {setting.others} examples")
            found = regrets(made, setting, functions=DEBATED, seed=FRESH_SEED + seed)
            _messages(figures, setting, found)
            rows = {form: vars(found[form]) for form in FORMS}
            table.append({"seed": seed, **vars(setting), "regret": rows})
    (out / "messages.json").write_text(json.dumps(table, indent=1) + "\n")
    return claims_of(figures, ASKED)


NEAR_BAYES = "5 examples, log-density: near the exact belief's"
ABOVE_PLUG_IN = "6 examples, two more than dimensions, log-density: above least squares with its residual variance"
KNOWS_NOISE = "15 examples: correlation of its deviation with the true noise, above 0.75"
UNSEEN = "noise of 2, never seen, 15 examples: its deviation below least squares' (both negated)"
WIDER = "inputs twice as wide, 10 examples: farther from the exact belief than at the trained width, nats"
REAL = "diabetes, 8 rows: log-density above least squares with its residual variance"
COVERED = "diabetes, 8 rows: share of values inside 90 % intervals"


def _of_messages(setting: Setting) -> dict[str, tuple[str, str, bool, float]]:
    """Return claims about a setting: text → two forms, whether in squared error, and what is asked."""
    where = f"noise {setting.noise:g}, {setting.own} and {setting.others} examples, share of the optimum that passes"
    found = {
        f"{where}, nats: a belief above a number": ("belief", "number", False, 0.0),
        f"{where}, squared error: a belief above a number": ("belief", "number", True, 0.0),
    }
    if (setting.own, setting.others) == HALVES:
        found |= {
            f"{where}, nats: a belief above a label": ("belief", "label", False, 0.1),
            f"{where}, nats: by precision above by the mean": ("belief", "belief, mean", False, 0.1),
            f"{where}, squared error: by precision above the numbers' mean": (
                "belief", "own mean and number, mean", True, 0.1,
            ),
        }  # fmt: skip
    return found


ASKED: dict[str, tuple[float | None, float | None]] = {
    NEAR_BAYES: (None, 0.15),
    ABOVE_PLUG_IN: (1.0, None),
    KNOWS_NOISE: (0.0, None),
    UNSEEN: (0.6, None),
    WIDER: (0.1, None),
    REAL: (0.0, None),
    COVERED: (None, 0.1),
    **{text: (each[3], None) for setting in SETTINGS for text, each in _of_messages(setting).items()},
}


def _messages(figures: Pairs, setting: Setting, found: dict[str, Regret]) -> None:
    for text, (ours, baseline, squared, _) in _of_messages(setting).items():
        pair = passed(found, ours, squared=squared), passed(found, baseline, squared=squared)
        figures.setdefault(text, []).append(pair)


@torch.inference_mode()
def said(learner: Learner, points: Points, examples: int) -> Predictive:
    """Return the learner's beliefs about the label after so many examples, [B]."""
    found = learner(points.x[:, : examples + 1].float(), points.y[:, : examples + 1].float())
    return gaussian(found.mean[:, -1].double(), found.log_variance[:, -1].double().exp())


def _plugged(points: Points, examples: int) -> Predictive:
    x, y = points.x[:, :examples], points.y[:, :examples]
    mean, variance = plug_in(x, y, points.x[:, examples : examples + 1])
    return gaussian(mean[:, 0], variance[:, 0])


def _exact(points: Points, examples: int, dims: int) -> Predictive:
    return bayes(kinds_of("noisy", dims), points.x[:, :examples], points.y[:, :examples], points.x[:, examples])


def _density(belief: Predictive, points: Points, examples: int) -> float:
    return float(belief.log_density(points.y[:, examples]).mean())


def _uncertainty(figures: Pairs, made: Learner, seed: int) -> None:
    dims = made.config.dims
    kinds = kinds_of("noisy", dims)
    points = draw(kinds, FRESH, MANY + 1, torch.Generator().manual_seed(FRESH_SEED + seed))
    few = _density(said(made, points, FEW), points, FEW)
    figures.setdefault(NEAR_BAYES, []).append((few, _density(_exact(points, FEW, dims), points, FEW)))
    plugged = _density(_plugged(points, TWO_LEFT), points, TWO_LEFT)
    figures.setdefault(ABOVE_PLUG_IN, []).append((_density(said(made, points, TWO_LEFT), points, TWO_LEFT), plugged))
    deviation = said(made, points, MANY).variance.sqrt()
    true = torch.tensor(LEVELS).double()[points.kind]
    figures.setdefault(KNOWS_NOISE, []).append((float(torch.corrcoef(torch.stack([deviation, true]))[0, 1]), 0.75))


def _shifts(figures: Pairs, made: Learner, seed: int) -> None:
    dims = made.config.dims
    generator = torch.Generator().manual_seed(FRESH_SEED + seed)
    points = draw(kinds_of("linear", dims, noise=UNSEEN_NOISE), FRESH, MANY + 1, generator)
    ours, theirs = (float(each.variance.sqrt().mean()) for each in (said(made, points, MANY), _plugged(points, MANY)))
    figures.setdefault(UNSEEN, []).append((-ours, -theirs))
    lost = []
    for spread in (WIDE, 1.0):
        points = draw(kinds_of("noisy", dims), FRESH, 11, generator, spread=spread)
        lost.append(_density(_exact(points, 10, dims), points, 10) - _density(said(made, points, 10), points, 10))
    figures.setdefault(WIDER, []).append((lost[0], lost[1]))


def _diabetes(figures: Pairs, made: Learner, seed: int) -> None:
    points = diabetes(made.config.dims, functions=1000, points=9, seed=FRESH_SEED + seed)
    ours, theirs = said(made, points, 8), _plugged(points, 8)
    figures.setdefault(REAL, []).append((_density(ours, points, 8), _density(theirs, points, 8)))
    inside = (points.y[:, 8] - ours.mean).abs() < 1.6449 * ours.variance.sqrt()
    figures.setdefault(COVERED, []).append((float(inside.double().mean()), 0.9))


def diabetes(dims: int, *, functions: int, points: int, seed: int) -> Points:
    """Return random rows of scikit-learn's table of diabetes (Efron et al., 2004): some principal components of ten columns.

    Components and the progression of the illness have mean 0 and variance 1; which components, and which rows, is drawn.
    """
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes()
    x, y = torch.tensor(bunch.data).double(), torch.tensor(bunch.target).double()
    u, _, _ = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    x, y = u * math.sqrt(len(u)), (y - y.mean()) / y.std()
    generator = torch.Generator().manual_seed(seed)
    rows = torch.stack([torch.randperm(len(y), generator=generator)[:points] for _ in range(functions)])
    columns = torch.stack([torch.randperm(x.shape[1], generator=generator)[:dims] for _ in range(functions)])
    chosen: Tensor = x[rows].gather(-1, columns[:, None].expand(-1, points, -1))
    return Points(chosen, y[rows], y[rows], torch.zeros(functions).long())
