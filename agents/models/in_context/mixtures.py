"""Does a network that learned two families select between them, and what does it say of functions that are of neither?
(Yadlowsky et al., 2023, arXiv:2311.00871; no code was published.)

Dense linear functions of eight numbers and such of two of them (`pair`), of one scale. Three networks see equally many functions:
of one family, of the other, of either. Selection is shown where the last is near each specialist on its family, and each
specialist worse than it on the other's: parity with ridge regression alone is none. Every function outside the families is a
Bayesian linear model too, so that its best error is exact. Errors are squared, from the function's value.
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from agents.beliefs.claims import Claim, claims_of
from agents.beliefs.curves import SUFFIX, Curves, by_place, write_curves
from agents.models.in_context.claims import FRESH_SEED, Pairs, diabetes
from agents.models.in_context.config import LearnerConfig
from agents.models.in_context.distances import online, posterior_mean
from agents.models.in_context.estimators import Rule, ridge
from agents.models.in_context.families import NOISE, Kind, Points, between, draw, kinds_of, sparse
from agents.models.in_context.family_messages import ask, family_regrets
from agents.models.in_context.messages import Setting, passed, regrets
from agents.models.in_context.model import Learner
from agents.models.in_context.posterior import bayes, families
from agents.models.in_context.training import Recipe, learner
from agents.pretrained import Progress

DIMS, BOTH = 8, "linear_or_pair"
PARTS = ("linear", "pair")
CONFIGS = {
    **{name: LearnerConfig((name,), dims=DIMS, layers=3) for name in PARTS},
    BOTH: LearnerConfig(PARTS, dims=DIMS, layers=3),
}
RECIPE = Recipe(steps=3500)
COUNTS = (8, 10, 12)
ALL_COUNTS = tuple(range(1, CONFIGS[BOTH].points))
SHARES, USED, SPREADS = (0.0, 0.25, 0.5, 0.75, 1.0), (2, 3, 4, 6, 8), (1.0, 2.0, 3.0)
PENALTY = NOISE**2 * DIMS
"""Bayes' for a dense function."""
FRESH, CURVE, LASSO, DEBATED = 2000, 500, 100, 300
SETTING = Setting(NOISE, 6, 6, BOTH)
ROWS = 12


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return whether networks of our size select, and where they fail; networks, `mixtures.json` and curves lie under `out`.

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
        made = {
            name: learner(out, config, RECIPE, seed=seed, progress=progress, name=name)
            for name, config in CONFIGS.items()
        }
        progress(f"errors of seed {seed}")
        row: dict[str, object] = {"seed": seed, "selection": _selection(figures, made, seed)}
        row |= {"outside": _outside(figures, made[BOTH], seed)}
        row |= {
            "libraries": _libraries(figures, made[BOTH], seed, progress),
            "messages": _messages(figures, made, seed),
        }
        measured.append(row)
        lines.append(_by_count(made, seed))
    (out / "mixtures.json").write_text(json.dumps(measured, indent=1) + "\n")
    up = "squared error (variance: 1)"
    write_curves(
        out / f"in-context-mixtures{SUFFIX}",
        Curves("examples", up, tuple(map(float, ALL_COUNTS)), by_place(lines), is_logarithmic=True),
    )
    return claims_of(figures, ASKED)


WHERE = "8 to 12 examples"
NEAR = {
    name: f"{name}, {WHERE}: 1.25 times the specialist's error, above the error of the network of both"
    for name in PARTS
}
FOREIGN = {
    name: f"{name}, {WHERE}: error of the other family's specialist over that of the network of both, above 1.5"
    for name in PARTS
}
FAMILY = "6 examples, log-probability of the right family: near the exact belief's"
UP_FROM_DENSE = "(1 − a) linear + a pair: error over the exact belief's, least step up for a = 0, 0.25, 0.5"
UP_FROM_PAIR = "the same, least step up for a = 1, 0.75, 0.5"
USED_BETWEEN = "4 of 8 weights used: error over the exact belief's, above the larger of 2 and 8 used"
WIDER = "inputs 1, 2 and 3 times as wide: error over the exact belief's, least step up"
LASSO_ERROR = "pair, 10 examples: LassoCV's error above that of the network of both"
REAL = "diabetes, 12 rows of 8 components: squared error near ridge regression's"
TELLS = "family, 6 and 6 examples, share of the optimum that passes, nats: a belief above a label"
TELLS_SQUARED = "the same, squared error"
SELECTS = "value by two selected specialists, the same, nats: a belief about the family above a label"
VALUE = "value, 6 and 6 examples, share of the optimum that passes, nats: a belief above a number"
VALUE_SQUARED = "the same, squared error: a belief above a number"
VALUE_LABEL = "the same, nats: a belief above a label"
ASKED: dict[str, tuple[float | None, float | None]] = {
    **dict.fromkeys((*NEAR.values(), *FOREIGN.values()), (0.0, None)),
    FAMILY: (None, 0.1),
    **dict.fromkeys((UP_FROM_DENSE, UP_FROM_PAIR, USED_BETWEEN, WIDER, LASSO_ERROR), (0.0, None)),
    REAL: (None, 0.1),
    TELLS: (0.0, None),
    TELLS_SQUARED: (0.0, None),
    SELECTS: (0.0, None),
    VALUE: (0.0, None),
    VALUE_SQUARED: (0.0, None),
    VALUE_LABEL: (0.1, None),
}


def _points(kinds: Sequence[Kind], seed: int, *, functions: int = 0, spread: float = 1.0) -> Points:
    generator = torch.Generator().manual_seed(FRESH_SEED + seed)
    return draw(kinds, functions or FRESH, CONFIGS[BOTH].points, generator, spread=spread)


@torch.inference_mode()
def _error(made: Learner, points: Points) -> Tensor:
    """Return the mean squared error after 0, 1, … examples, [K]."""
    error: Tensor = (made(points.x.float(), points.y.float()).mean.double() - points.value).square().mean(0)
    return error


def _exact_error(kinds: Sequence[Kind], points: Points, counts: Sequence[int]) -> float:
    found = online(posterior_mean(kinds), points, counts) - points.value[:, list(counts)]
    return float(found.square().mean())


def _selection(figures: Pairs, made: dict[str, Learner], seed: int) -> dict[str, dict[str, float]]:
    """Return the errors on each family: of each network, of ridge, and of the exact beliefs of both and of this family."""
    table: dict[str, dict[str, float]] = {}
    for name in PARTS:
        kinds = kinds_of(name, DIMS)
        points = _points(kinds, seed)
        row = {each: float(_error(network, points)[list(COUNTS)].mean()) for each, network in made.items()}
        (other,) = (each for each in PARTS if each != name)
        figures.setdefault(NEAR[name], []).append((1.25 * row[name], row[BOTH]))
        figures.setdefault(FOREIGN[name], []).append((row[other] / row[BOTH], 1.5))
        said = online(ridge(penalty=PENALTY), points, COUNTS) - points.value[:, list(COUNTS)]
        row["ridge"] = float(said.square().mean())
        row["exact, this family"] = _exact_error(kinds, points, COUNTS)
        row["exact, both"] = _exact_error(kinds_of(BOTH, DIMS), points, COUNTS)
        table[name] = row
    return table


def _outside(figures: Pairs, made: Learner, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return errors over the exact belief's: of the network, and of the exact belief that the families are the learned two."""

    def ratios(kinds: Sequence[Kind], spread: float = 1.0) -> dict[str, float]:
        points = _points(kinds, seed, functions=FRESH // 2, spread=spread)
        best = _exact_error(kinds, points, COUNTS)
        prior = _exact_error(kinds_of(BOTH, DIMS), points, COUNTS)
        ours = float(_error(made, points)[list(COUNTS)].mean())
        return {"network": ours / best, "exact, learned families": prior / best, "best error": best}

    mixed = {f"{share:g}": ratios(between(DIMS, share)) for share in SHARES}
    used = {f"{count}": ratios(sparse(DIMS, used=count)) for count in USED}
    wider = {f"{spread:g}": ratios(kinds_of(BOTH, DIMS), spread) for spread in SPREADS}
    along = [row["network"] for row in mixed.values()]
    for text, path in ((UP_FROM_DENSE, along[:3]), (UP_FROM_PAIR, along[:1:-1])):
        figures.setdefault(text, []).append((min(b - a for a, b in pairwise(path)), 0.0))
    ends = max(used[f"{USED[0]}"]["network"], used[f"{USED[-1]}"]["network"])
    figures.setdefault(USED_BETWEEN, []).append((used["4"]["network"], ends))
    spread = [row["network"] for row in wider.values()]
    figures.setdefault(WIDER, []).append((min(b - a for a, b in pairwise(spread)), 0.0))
    return {"share of the pair": mixed, "weights used": used, "inputs wider": wider}


def lasso(folds: int = 5) -> Rule:
    """The lasso with its penalty chosen by cross-validation (scikit-learn's LassoCV), as a rule."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LassoCV

    def rule(x: Tensor, y: Tensor, asked: Tensor) -> Tensor:
        said = []
        with warnings.catch_warnings():
            # Without noise enough the path's end is not reached to its tolerance, which moves no digit here.
            warnings.simplefilter("ignore", ConvergenceWarning)
            for b in range(len(x)):
                model = LassoCV(cv=min(folds, x.shape[1]), fit_intercept=False, alphas=30)
                said.append(torch.from_numpy(model.fit(x[b].numpy(), y[b].numpy()).predict(asked[b].numpy())))
        return torch.stack(said)

    return rule


def _libraries(figures: Pairs, made: Learner, seed: int, progress: Progress) -> dict[str, float]:
    """Return errors beside the library's lasso, and on the table of diabetes."""
    if find_spec("sklearn") is None:
        progress("without scikit-learn (extra series) nothing is claimed about LassoCV and the table of diabetes")
        return {}
    points = _points(kinds_of("pair", DIMS), seed, functions=LASSO)
    count = COUNTS[1]
    theirs = float((online(lasso(), points, [count])[:, 0] - points.value[:, count]).square().mean())
    ours = float(_error(made, points)[count])
    figures.setdefault(LASSO_ERROR, []).append((theirs, ours))
    table = diabetes(DIMS, functions=1000, points=ROWS + 1, seed=FRESH_SEED + seed)
    real = float(_error(made, table)[ROWS])
    fitted = float((online(ridge(penalty=float(DIMS)), table, [ROWS])[:, 0] - table.value[:, ROWS]).square().mean())
    figures.setdefault(REAL, []).append((real, fitted))
    return {"LassoCV": theirs, "network": ours, "diabetes, network": real, "diabetes, ridge": fitted}


def _messages(figures: Pairs, made: dict[str, Learner], seed: int) -> dict[str, dict[str, dict[str, float]]]:
    fresh = FRESH_SEED + seed
    points = _points(kinds_of(BOTH, DIMS), seed)
    x, y, at = points.x[:, : SETTING.own], points.y[:, : SETTING.own], points.x[:, SETTING.own]
    kinds = kinds_of(BOTH, DIMS)
    exact = torch.stack(list(families(kinds, bayes(kinds, x, y, at)).values()), -1)
    right = torch.tensor([PARTS.index(kinds[place].family) for place in points.kind.tolist()])
    scores = torch.log_softmax(ask(made[BOTH], x, y, at).families[:, -1].double(), -1)
    pair = [float(each.gather(1, right[:, None]).mean()) for each in (scores, exact.log())]
    figures.setdefault(FAMILY, []).append((pair[0], pair[1]))
    about = family_regrets(made[BOTH], made, SETTING, functions=FRESH, seed=fresh)
    found = about | {"whole value": regrets(made[BOTH], SETTING, functions=DEBATED, seed=fresh)}
    for text, what, ours, theirs, squared in (
        (TELLS, "family", "belief", "label", False),
        (TELLS_SQUARED, "family", "belief", "label", True),
        (SELECTS, "value", "belief", "label", False),
        (VALUE, "whole value", "belief", "number", False),
        (VALUE_SQUARED, "whole value", "belief", "number", True),
        (VALUE_LABEL, "whole value", "belief", "label", False),
    ):
        pair = [passed(found[what], form, squared=squared) for form in (ours, theirs)]
        figures.setdefault(text, []).append((pair[0], pair[1]))
    return {what: {form: vars(each) for form, each in rows.items()} for what, rows in found.items()}


def _by_count(made: dict[str, Learner], seed: int) -> dict[str, list[float]]:
    """Return errors on functions of two weights by number of examples."""
    points = _points(kinds_of("pair", DIMS), seed, functions=CURVE)
    lines = {
        "network of both": _error(made[BOTH], points)[1:].tolist(),
        "network of pair": _error(made["pair"], points)[1:].tolist(),
        "network of linear": _error(made["linear"], points)[1:].tolist(),
    }
    for name, rule in (
        ("ridge", ridge(penalty=PENALTY)),
        ("exact, both", posterior_mean(kinds_of(BOTH, DIMS))),
        ("exact, pair", posterior_mean(kinds_of("pair", DIMS))),
    ):
        said = online(rule, points, ALL_COUNTS) - points.value[:, 1:]
        lines[name] = said.square().mean(0).tolist()
    return lines
