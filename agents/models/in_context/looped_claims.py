"""Claims about learners that loop, at equal numbers of parameters (Gao et al., 2024; Yang et al., 2024).

All three networks have three blocks. AlgoFormer repeats one between two others, the looped transformer repeats all three, so that
both are twelve blocks deep, and the plain transformer repeats none. What they learn: weights of the features of one fixed network
(`representation`), and linear functions. Errors are of the mean from the function's value, after ten examples.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from agents.beliefs.claims import Claim, claims_of
from agents.beliefs.curves import SUFFIX, Curves, write_curves
from agents.models.in_context.claims import FRESH, FRESH_SEED, Pairs
from agents.models.in_context.estimators import ridge
from agents.models.in_context.families import NOISE, Points, draw
from agents.models.in_context.looped import LoopedConfig, LoopedLearner
from agents.models.in_context.looped_training import LoopedRecipe, looped_learner
from agents.models.in_context.messages import FORMS, Regret, Setting, passed, regrets
from agents.models.in_context.posterior import bayes, gaussian
from agents.pretrained import Progress

EXAMPLES = 10
HARD, EASY = "representation", "linear"
ALGOFORMER = LoopedConfig((HARD,), points=EXAMPLES + 1, width=32, before=1, layers=1, after=1, loops=10)
MODELS = {
    "algoformer": ALGOFORMER,
    "looped": replace(ALGOFORMER, before=0, layers=3, after=0, loops=4),
    "plain": replace(ALGOFORMER, before=0, layers=3, after=0, loops=1),
    "without input": replace(ALGOFORMER, adds_input=False),
}
"""The looped transformer and the plain one are AlgoFormer's size; the last one does not add its input in every loop."""
TRAINED = ((HARD, tuple(MODELS)), (EASY, ("algoformer", "looped")))
RECIPE = LoopedRecipe()
FEW_LOOPS = 2
SETTING = Setting(NOISE, 5, 5, HARD)
DEBATED = 300
Errors = dict[tuple[str, str], list[float]]


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what looping brings.

    Learners lie under `out`, with `loops.json` (errors by number of loops, and what messages cost) and a figure of the errors a
    family.

    Args:
        out: learners that are there are not trained again.
        seeds: training seeds, from 0.
        data: not needed; functions are drawn.
        progress: told of each step that takes time.
    """
    del data
    figures: Pairs = {}
    every: list[Errors] = []
    table: list[dict[str, object]] = []
    for seed in range(seeds):
        made = {
            (family, name): _learner(out, family, name, seed, progress) for family, names in TRAINED for name in names
        }
        progress(f"errors of seed {seed} by number of loops")
        curves = {key: curve(each, fresh(each, seed)) for key, each in made.items()}
        _errors(figures, curves, made, seed)
        progress(f"debates of seed {seed}")
        listener = made[HARD, "algoformer"]
        found = {loops: _regrets(listener, loops, seed) for loops in (FEW_LOOPS, *_once_and_twice(listener))}
        _messages(figures, found)
        every.append(curves)
        table += [
            {"seed": seed, "loops": loops, **vars(SETTING), "regret": {form: vars(each[form]) for form in FORMS}}
            for loops, each in found.items()
        ]
    shown = {f"{family}, {name}": [each[family, name] for each in every] for family, name in every[0]}
    (out / "loops.json").write_text(json.dumps({"errors": shown, "debates": table}, indent=1) + "\n")
    for family, _ in TRAINED:
        write_curves(out / f"loops-{family}{SUFFIX}", _by_loops(family, every))
    return claims_of(figures, ASKED)


def _learner(out: Path, family: str, name: str, seed: int, progress: Progress) -> LoopedLearner:
    config = replace(MODELS[name], families=(family,))
    return looped_learner(out, name, config, RECIPE, seed=seed, progress=progress)


def _by_loops(family: str, seeds: Sequence[Errors]) -> Curves:
    """Return the errors of a family's learners by number of loops; a line ends at twice the loops of its training."""
    names = [name for of, name in seeds[0] if of == family]
    lines = {
        f"{name} ({MODELS[name].loops} loops in training)": list(
            zip(*(each[family, name] for each in seeds), strict=True)
        )
        for name in names
    }
    places = tuple(map(float, range(1, 1 + max(map(len, lines.values())))))
    return Curves(f"loops, {family}", "squared error after ten examples", places, lines, is_logarithmic=True)


def _once_and_twice(made: LoopedLearner) -> tuple[int, int]:
    return made.config.loops, 2 * made.config.loops


def fresh(made: LoopedLearner, seed: int) -> Points:
    """Return functions that the learners of a seed never saw, ten examples and a point each."""
    return draw(made.config.kinds(), FRESH, EXAMPLES + 1, torch.Generator().manual_seed(FRESH_SEED + seed))


@torch.inference_mode()
def curve(made: LoopedLearner, points: Points) -> list[float]:
    """Return the mean squared error from the function's value after 1, 2, … loops, to twice as many as in training."""
    most = 2 * made.config.loops
    every = made.said(points.x.float(), points.y.float(), loops=most, window=most)
    return [_squared(said.mean[:, -1], points) for said in every]


def _squared(mean: Tensor, points: Points) -> float:
    return float((mean.double() - points.value[:, -1]).square().mean())


RATIO = "representation, squared error over {}, negated: above −{:g}"
BELOW_LOOPED = RATIO.format("the looped transformer's", 0.8)
LOOPED_BELOW_PLAIN = "the looped transformer's over the plain one's, negated: above −1"
BELOW_PLAIN = RATIO.format("the plain transformer's", 0.8)
SAME = "linear functions, squared error: the looped transformer's"
FALLS = "representation, squared error at 10 loops over that at 2, negated: above −1"
STAYS = "representation, squared error at 20 loops over that at 10: 1"
BREAKS = "the same of one that does not add its input: above 1.5"
BELOW_RIDGE = "representation, squared error, negated: above ridge regression's on x"
NEAR_BAYES = "representation, log-density: near the exact belief's"
ABOVE_NUMBER = "5 and 5 examples, share of the optimum that passes, nats: a belief above a number"
ABOVE_LABEL = "the same: a belief above a label"
SQUARED = "the same, squared error: a belief above a number"
MORE_LOOPS = "regret after a belief was heard, nats, negated: 10 loops above 2"
TWICE = "regret after a belief was heard, nats: 20 loops as 10"
ASKED: dict[str, tuple[float | None, float | None]] = {
    BELOW_LOOPED: (0.0, None),
    LOOPED_BELOW_PLAIN: (0.0, None),
    BELOW_PLAIN: (0.0, None),
    SAME: (None, 0.02),
    FALLS: (0.0, None),
    STAYS: (None, 0.1),
    BREAKS: (0.0, None),
    BELOW_RIDGE: (0.2, None),
    NEAR_BAYES: (None, 0.15),
    ABOVE_NUMBER: (0.0, None),
    ABOVE_LABEL: (0.1, None),
    SQUARED: (0.0, None),
    MORE_LOOPS: (0.0, None),
    TWICE: (None, 0.02),
}


def _errors(figures: Pairs, curves: Errors, made: dict[tuple[str, str], LoopedLearner], seed: int) -> None:
    # A curve ends at twice the loops of training.
    hard, looped, plain, easy, easy_looped, without = (
        curves[key][len(curves[key]) // 2 - 1]
        for key in (
            (HARD, "algoformer"), (HARD, "looped"), (HARD, "plain"), (EASY, "algoformer"), (EASY, "looped"),
            (HARD, "without input"),
        )
    )  # fmt: skip
    algoformer = made[HARD, "algoformer"]
    points = fresh(algoformer, seed)
    x, y, at = points.x[:, :-1], points.y[:, :-1], points.x[:, -1]
    with torch.inference_mode():
        said = algoformer(points.x.float(), points.y.float())
    ours = gaussian(said.mean[:, -1].double(), said.log_variance[:, -1].double().exp())
    densities = [
        float(each.log_density(points.y[:, -1]).mean()) for each in (ours, bayes(algoformer.config.kinds(), x, y, at))
    ]
    for text, pair in (
        (BELOW_LOOPED, (-hard / looped, -0.8)),
        (LOOPED_BELOW_PLAIN, (-looped / plain, -1.0)),
        (BELOW_PLAIN, (-hard / plain, -0.8)),
        (SAME, (easy, easy_looped)),
        (FALLS, (-hard / curves[HARD, "algoformer"][FEW_LOOPS - 1], -1.0)),
        (STAYS, (curves[HARD, "algoformer"][-1] / hard, 1.0)),
        (BREAKS, (curves[HARD, "without input"][-1] / without, 1.5)),
        (BELOW_RIDGE, (-hard, -_squared(ridge(penalty=1.0)(x, y, at[:, None])[:, 0], points))),
        (NEAR_BAYES, (densities[0], densities[1])),
    ):
        figures.setdefault(text, []).append(pair)


def _regrets(made: LoopedLearner, loops: int, seed: int) -> dict[str, Regret]:
    return regrets(made.at(loops), SETTING, functions=DEBATED, seed=FRESH_SEED + seed)


def _messages(figures: Pairs, found: dict[int, dict[str, Regret]]) -> None:
    few, trained, twice = found.values()
    share = {form: passed(trained, form) for form in ("belief", "number", "label")}
    for text, pair in (
        (ABOVE_NUMBER, (share["belief"], share["number"])),
        (ABOVE_LABEL, (share["belief"], share["label"])),
        (SQUARED, (passed(trained, "belief", squared=True), passed(trained, "number", squared=True))),
        (MORE_LOOPS, (-trained["belief"].nats, -few["belief"].nats)),
        (TWICE, (twice["belief"].nats, trained["belief"].nats)),
    ):
        figures.setdefault(text, []).append(pair)
