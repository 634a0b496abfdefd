"""Which learning algorithm is learning in context? (Akyürek et al., 2023, arXiv:2211.15661.)

Networks that learned linear functions, without noise and with, are held against estimators on the same examples: distances
(`distances.py`) and probes of their layers (`probes.py`). A diagnostic of an agent that sees numbers; no agent uses it.
"""

import json
import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch

from agents.beliefs.claims import Claim, claims_of
from agents.beliefs.curves import SUFFIX, Curves, by_place, write_curves
from agents.models.in_context import distances as far
from agents.models.in_context import probes
from agents.models.in_context.claims import FRESH_SEED, Pairs, diabetes
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.families import Points, draw, kinds_of
from agents.models.in_context.model import Learner
from agents.models.in_context.training import Recipe, learner
from agents.models.seeded import seeded
from agents.pretrained import Progress

DIMS = 4
DEEP = LearnerConfig(("linear",), dims=DIMS, layers=3, noise=0.0)
SHALLOW = replace(DEEP, layers=1)
NOISES = (0.25, 1.0)
DEEP_RECIPE = Recipe(steps=2500, loss="squared")
SHORT_RECIPE = Recipe(steps=1000, loss="squared")
FRESH, PROBED, QUESTIONS, FUNCTIONS = 600, 2000, 32, 100
COUNTS = tuple(range(1, DEEP.points))
KNOWN = (8, 12)
"""Twice and three times as many examples as dimensions, where the estimators differ and all of them know something."""
PENALTIES = tuple(2.0 ** (power / 2) for power in range(-16, 11))
ROWS = 12
"""Rows of diabetes that a network sees."""


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return which estimators networks of our size are near; networks, `distances.json` and curves lie under `out`.

    Args:
        out: networks that are there are not trained again.
        seeds: training seeds, from 0.
        data: not needed; functions are drawn.
        progress: told of each step that takes time.
    """
    del data
    figures: Pairs = {}
    measured: list[dict[str, object]] = []
    lines: list[dict[str, list[float]]] = []
    for seed in range(seeds):
        deep = learner(out, DEEP, DEEP_RECIPE, seed=seed, progress=progress, name="layers-3")
        shallow = learner(out, SHALLOW, SHORT_RECIPE, seed=seed, progress=progress, name="layers-1")
        points = draw(DEEP.kinds(), FRESH, DEEP.points, torch.Generator().manual_seed(FRESH_SEED + seed))
        progress(f"distances of seed {seed}")
        found = far.distances(far.rule_of(deep), far.comparators(), points, COUNTS)
        flat = far.distances(far.rule_of(shallow), far.comparators(), points, COUNTS)
        _separated(figures, found)
        _shallow(figures, flat)
        weights = _weights(figures, deep, points)
        penalties = _penalties(figures, out, seed, progress)
        if find_spec("sklearn") is not None:
            _drift(figures, deep, found, seed)
        else:
            progress("without scikit-learn (extra series) nothing is claimed about the table of diabetes")
        progress(f"probes of seed {seed}")
        read = _probed(figures, deep, seed)
        lines.append({name: [each.squared for each in row] for name, row in found.items()})
        measured.append(
            {
                "seed": seed,
                "counts": COUNTS,
                "3 layers": {name: [vars(each) for each in row] for name, row in found.items()},
                "1 layer": {name: [vars(each) for each in row] for name, row in flat.items()},
                "weights": weights,
                "nearest penalty by noise": penalties,
                "probes by layer": read,
            }
        )
    (out / "distances.json").write_text(json.dumps(measured, indent=1) + "\n")
    up = "SPD (a label's variance: 1)"
    curves = Curves("examples", up, tuple(map(float, COUNTS)), by_place(lines), is_logarithmic=True)
    write_curves(out / f"in-context-algorithm{SUFFIX}", curves)
    return claims_of(figures, ASKED)


def _above(count: int, what: str) -> str:
    return f"3 layers, no noise, {count} examples: SPD to {what} over SPD to least squares or ridge, above 2"


ONE_LAYER = "1 layer, 4 to 12 examples, SPD: to least squares above that to one step of descent"
LINEAR = "3 layers, 12 examples: share of its predictions that weights account for, above 0.95"
WEIGHTS = "3 layers, 12 examples: ILWD to one step of descent, over that to least squares, above 2"
MOVES = "penalty of the nearest ridge, in powers of ten: noise 1 above noise 0.25 (Bayes: 1.2)"
BAYES_PENALTY = "noise 1: the same penalty, Bayes' (4)"
DRIFT = "diabetes, 12 rows: SPD to the nearest ridge, above that on the functions that it learned"
LATE = "weights, probe of one hidden layer, share explained: last layer above the first"
CURVED = "weights, last layer, share explained: one hidden layer above linear"
LATER_THAN_MOMENT = "first layer, linear probe, share explained: the moment above the weights"
LEARNED = "weights, last layer, share explained: above the same probe on random weights"
ASKED: dict[str, tuple[float | None, float | None]] = {
    **{_above(count, what): (0.0, None) for count in KNOWN for what in (far.ONE_STEP, far.NEIGHBOURS)},
    ONE_LAYER: (0.0, None),
    LINEAR: (0.0, None),
    WEIGHTS: (0.0, None),
    MOVES: (0.5, None),
    BAYES_PENALTY: (None, 0.3),
    DRIFT: (0.0, None),
    LATE: (0.1, None),
    CURVED: (0.02, None),
    LATER_THAN_MOMENT: (0.05, None),
    LEARNED: (0.1, None),
}

Found = dict[str, tuple[far.Distance, ...]]


def _at(found: Found, name: str, count: int) -> float:
    return found[name][COUNTS.index(count)].squared


def _separated(figures: Pairs, found: Found) -> None:
    for count in KNOWN:
        near = min(_at(found, far.LEAST_SQUARES, count), _at(found, far.RIDGE, count))
        for what in (far.ONE_STEP, far.NEIGHBOURS):
            figures.setdefault(_above(count, what), []).append((_at(found, what, count) / near, 2.0))


def _shallow(figures: Pairs, flat: Found) -> None:
    counts = range(DIMS, 3 * DIMS + 1)
    least, step = (sum(_at(flat, name, k) for k in counts) / len(counts) for name in (far.LEAST_SQUARES, far.ONE_STEP))
    figures.setdefault(ONE_LAYER, []).append((least, step))


def _weights(figures: Pairs, deep: Learner, points: Points) -> dict[str, list[float]]:
    """Return ILWD to least squares and to the best single step of descent, and the share accounted for, by count."""
    found: dict[str, list[float]] = {"to least squares": [], "to one step": [], "accounted for": []}
    generator = torch.Generator().manual_seed(FRESH_SEED)
    asked = torch.randn(FUNCTIONS, QUESTIONS, DIMS, generator=generator, dtype=torch.float64)
    against = far.comparators()
    for count in COUNTS:
        x, y = points.x[:FUNCTIONS, :count], points.y[:FUNCTIONS, :count]
        ours, share = far.implied_weights(far.rule_of(deep), x, y, asked)
        least, _ = far.implied_weights(against[far.LEAST_SQUARES][""], x, y, asked)
        steps = [far.implied_weights(rule, x, y, asked)[0] for rule in against[far.ONE_STEP].values()]
        found["to least squares"].append(far.weight_distance(ours, least))
        found["to one step"].append(min(far.weight_distance(ours, step) for step in steps))
        found["accounted for"].append(float(share.mean()))
    place = COUNTS.index(KNOWN[-1])
    figures.setdefault(LINEAR, []).append((found["accounted for"][place], 0.95))
    figures.setdefault(WEIGHTS, []).append((found["to one step"][place] / found["to least squares"][place], 2.0))
    return found


def _penalties(figures: Pairs, out: Path, seed: int, progress: Progress) -> dict[str, float]:
    """Return the penalty of the ridge that a network of each noise is nearest to, from as many examples as dimensions on."""
    found = {}
    for noise in NOISES:
        config = LearnerConfig(("linear",), dims=DIMS, noise=noise)
        made = learner(out, config, SHORT_RECIPE, seed=seed, progress=progress, name=f"noise-{noise:g}")
        points = draw(config.kinds(), FRESH, config.points, torch.Generator().manual_seed(FRESH_SEED + seed))
        found[f"{noise:g}"] = far.nearest_penalty(far.rule_of(made), points, range(DIMS, DEEP.points), PENALTIES)
    low, high = (math.log10(each) for each in found.values())
    figures.setdefault(MOVES, []).append((high, low))
    # λ = σ² / τ² with the weights' prior variance τ² = 1 / d.
    figures.setdefault(BAYES_PENALTY, []).append((high, math.log10(NOISES[-1] ** 2 * DIMS)))
    return found


def _drift(figures: Pairs, deep: Learner, found: Found, seed: int) -> None:
    points = diabetes(DIMS, functions=1000, points=ROWS + 1, seed=FRESH_SEED + seed)
    drifted = far.distances(far.rule_of(deep), {far.RIDGE: far.comparators()[far.RIDGE]}, points, [ROWS])
    figures.setdefault(DRIFT, []).append((drifted[far.RIDGE][0].squared, _at(found, far.RIDGE, ROWS)))


def _probed(figures: Pairs, deep: Learner, seed: int) -> dict[str, list[float]]:
    generator = torch.Generator().manual_seed(FRESH_SEED + seed)
    seen, fresh = (draw(kinds_of("linear", DIMS, noise=0.0), PROBED, ROWS + 1, generator) for _ in range(2))
    read = probes.table(probes.prompts(deep, seen), probes.prompts(deep, fresh), seed=seed)
    plain = seeded(lambda: Learner(DEEP), seed).eval()
    last = DEEP.layers
    blank = probes.explained(
        probes.prompts(plain, seen), probes.prompts(plain, fresh), last, "weights", is_linear=False, seed=seed
    )
    curved, straight = read["weights, network"], read["weights, linear"]
    figures.setdefault(LATE, []).append((curved[last], curved[1]))
    figures.setdefault(CURVED, []).append((curved[last], straight[last]))
    figures.setdefault(LATER_THAN_MOMENT, []).append((read["moment, linear"][1], straight[1]))
    figures.setdefault(LEARNED, []).append((curved[last], blank))
    return {name: list(row) for name, row in read.items()} | {"weights, network, random weights, last layer": [blank]}
