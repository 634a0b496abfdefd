"""Which estimator does a network that is there follow? The shipped one, or that of a folder; nothing is trained.

It saw linear functions of any noise from 0.1 to 1 and was told none (`noisy`), so the question is also whether it takes the noise
from the examples: the penalty of the ridge regression that it is nearest to should grow with it. A diagnostic: the distances of
Akyürek et al. (2023, arXiv:2211.15661) say what a network's predictions are like. A seed draws other functions.
"""

import json
import math
from pathlib import Path

import torch

from agents.beliefs.claims import Claim, claims_of
from agents.beliefs.curves import SUFFIX, Curves, by_place, write_curves
from agents.errors import ConfigError
from agents.models.in_context import distances as far
from agents.models.in_context.backend import DEFAULT, SHIPPED
from agents.models.in_context.claims import FRESH_SEED, Pairs
from agents.models.in_context.families import draw, kinds_of
from agents.models.in_context.training import load_learner
from agents.pretrained import Progress

NOISES = (0.1, 0.3, 1.0)
FUNCTIONS, QUESTIONS = 1000, 32
PENALTIES = tuple(2.0 ** (power / 2) for power in range(-16, 11))


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return how near a network is to each estimator; `followed.json` and curves of the middle noise are written under `out`.

    Args:
        out: for the table and the curves.
        seeds: draws of functions, from 0; the network is one and the same.
        data: folder of another learner of linear functions (default: the shipped one).
        progress: told of each step that takes time.

    Raises:
        ModelError: no learner in the folder.
        ConfigError: it learned other functions.
    """
    made = load_learner(data or SHIPPED / DEFAULT)
    dims, points_most = made.config.dims, made.config.points
    if set(made.config.families) - {"linear", "noisy"} or points_most < 3 * dims + 1:
        raise ConfigError(
            f"the learner of {data} saw {', '.join(made.config.families)} with {points_most} points of {dims} values; this "
            "recipe asks about linear functions, with three times as many examples as values"
        )
    rule, counts = far.rule_of(made), tuple(range(1, points_most))
    figures: Pairs = {}
    measured: list[dict[str, object]] = []
    lines: list[dict[str, list[float]]] = []
    for seed in range(seeds):
        penalties = []
        for noise in NOISES:
            progress(f"distances at a noise of {noise:g}, draw {seed}")
            kinds = kinds_of("linear", dims, noise=noise)
            points = draw(kinds, FUNCTIONS, points_most, torch.Generator().manual_seed(FRESH_SEED + seed))
            against = {**far.comparators(), far.EXACT: {"noise not told": far.posterior_mean(kinds_of("noisy", dims))}}
            found = far.distances(rule, against, points, counts)
            penalties.append(far.nearest_penalty(rule, points, range(dims, points_most), PENALTIES))
            name, near = far.followed(rule, against, points, counts)
            rows = {each: [vars(distance) for distance in row] for each, row in found.items()}
            measured.append(
                {"draw": seed, "noise": noise, "penalty": penalties[-1], "nearest": name, "SPD": near, "by count": rows}
            )
            if noise == NOISES[1]:
                _middle(figures, found, dims)
                lines.append({each: [distance.squared for distance in row] for each, row in found.items()})
                x, y = points.x[:200, : 3 * dims], points.y[:200, : 3 * dims]
                generator = torch.Generator().manual_seed(FRESH_SEED + seed)
                asked = torch.randn(len(x), QUESTIONS, dims, generator=generator, dtype=torch.float64)
                figures.setdefault(LINEAR, []).append((float(far.implied_weights(rule, x, y, asked)[1].mean()), 0.95))
        figures.setdefault(MOVES, []).append((math.log10(penalties[-1]), math.log10(penalties[0])))
        bayes = math.log10(dims * NOISES[-1] ** 2)
        figures.setdefault(BAYES, []).append((math.log10(penalties[-1]), bayes))
        figures.setdefault(BAYES_LOW, []).append((math.log10(penalties[0]), math.log10(dims * NOISES[0] ** 2)))
    out.mkdir(parents=True, exist_ok=True)
    (out / "followed.json").write_text(json.dumps(measured, indent=1) + "\n")
    up = "SPD (a label's variance: 1)"
    curves = Curves("examples", up, tuple(map(float, counts)), by_place(lines), is_logarithmic=True)
    write_curves(out / f"in-context-followed{SUFFIX}", curves)
    return claims_of(figures, ASKED)


ONE_STEP = (
    "noise 0.3, two and three times as many examples as values: SPD to one step of descent over that to ridge, above 5"
)
NEAREST = "the same to nearest neighbours over that to ridge, above 5"
PEAK = "noise 0.3, as many examples as values: SPD to least squares over that to ridge, above 5"
LINEAR = "noise 0.3, three times as many: share of its predictions that weights account for, above 0.95"
MOVES = "penalty of the nearest ridge, in powers of ten: noise 1 above noise 0.1 (Bayes, told the noise: 2)"
BAYES = "noise 1: the same penalty, Bayes'"
BAYES_LOW = "noise 0.1: the same penalty, Bayes'"
ASKED: dict[str, tuple[float | None, float | None]] = {
    ONE_STEP: (0.0, None),
    NEAREST: (0.0, None),
    PEAK: (0.0, None),
    LINEAR: (0.0, None),
    MOVES: (0.5, None),
    BAYES: (None, 0.3),
    BAYES_LOW: (None, 0.3),
}


def _middle(figures: Pairs, found: dict[str, tuple[far.Distance, ...]], dims: int) -> None:
    def mean(name: str, counts: tuple[int, ...]) -> float:
        return sum(found[name][count - 1].squared for count in counts) / len(counts)

    many = (2 * dims, 3 * dims)
    for text, name in ((ONE_STEP, far.ONE_STEP), (NEAREST, far.NEIGHBOURS)):
        figures.setdefault(text, []).append((mean(name, many) / mean(far.RIDGE, many), 5.0))
    figures.setdefault(PEAK, []).append((mean(far.LEAST_SQUARES, (dims,)) / mean(far.RIDGE, (dims,)), 5.0))
