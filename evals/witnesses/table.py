"""The table of the witnesses, made from run folders alone: accuracy, share of the possible gain, calibration, beside the optimum.

The possible gain of a world is what the best decision with all evidence is right more often than one witness alone, both on
the same questions; a row's share of it is what the row is right more often, over that. Intervals are over questions, resampled
as pairs (Wilson's, of a row that is right of all questions or of none); where there are several training seeds a question's
outcome is their mean.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.errors import RunError
from evals.analysis.stats import Comparison, Interval, calibration, compare_all, wilson
from evals.tasks.evidence import pooled
from evals.tasks.optima import Optima, optima
from evals.witnesses.reading import Beliefs, Counts, WorldRun, read_world, run_folders
from evals.witnesses.stated import Stated

RESAMPLES = 4000
BAYES, SINGLE = "bayes", "single"
# What the predictions are of (docs/witnesses.md).
PAIRS = (
    ("cipher", "text"),
    ("trained", "text"),
    ("trained", BAYES),
    ("trained-top1", "trained"),
    ("shares", "text"),
    ("shares", BAYES),
    ("shares-read", "text"),
    ("shares-read", BAYES),
    ("trained", "shares"),
    ("trained", "shares-read"),
    ("trained-exact", "trained"),
)


@dataclass(frozen=True)
class Cell:
    """One row of one world.

    Attributes:
        right, interval: share of strings that are right, mean over training seeds, and its 95 % interval.
        counts: of right strings, of each training seed.
        places: share of places that are right.
        gain, gain_interval: share of the possible gain.
        gain_by_seed: of each training seed.
        tokens: generated a question, mean.
    """

    right: float
    interval: Interval
    counts: tuple[int, ...]
    places: float
    gain: float
    gain_interval: Interval
    gain_by_seed: tuple[float, ...]
    tokens: float


@dataclass(frozen=True)
class Hearer:
    """How a hearer weighs what it hears, against the optimum.

    Attributes:
        slope: of the change that the message makes in its log-probabilities, on what it ought to make; the optimum's is 1.
        by_level: the same where the other's noise is of a level, in tenths.
        distance: mean Kullback-Leibler divergence of its belief from the best one, nats a place.
        error: expected calibration error of its likeliest symbol.
    """

    slope: float
    by_level: Mapping[int, float]
    distance: float
    error: float


@dataclass(frozen=True)
class WorldTable:
    """One world.

    Attributes:
        name, questions, seeds: which world, questions asked, training seeds.
        optima: exact values.
        cells: method → what it came to.
        reader: mean divergence of what a witness believes alone from the exact belief (nats a place), and its calibration error.
        hearers: row → how the hearer weighs, mean over seeds.
        pairs: comparisons over the same questions, of `PAIRS` those that were played, corrected together.
        by_seed: of each pair the difference that each training seed has.
        stated: row → how shares are stated in it, mean over seeds.
    """

    name: str
    questions: int
    seeds: tuple[int, ...]
    optima: Optima
    cells: Mapping[str, Cell]
    reader: tuple[float, float] | None
    hearers: Mapping[str, Hearer]
    pairs: tuple[Comparison, ...]
    by_seed: tuple[tuple[float, ...], ...]
    stated: Mapping[str, Stated]


@dataclass(frozen=True)
class Witnessed:
    """The whole experiment: a table for each world, and the hash of all that was said."""

    worlds: tuple[WorldTable, ...]
    digest: str


def tabulate(out: Path) -> Witnessed:
    """Return the table of OUT/seed-N/WORLD.

    Raises:
        RunError: there is no run, two runs of a seed are of worlds of one name, or seeds of a world were asked different
            questions or methods.
    """
    runs: dict[str, dict[int, WorldRun]] = {}
    for seed, folder in run_folders(out):
        found = read_world(folder)
        if (other := runs.setdefault(found.name, {}).get(seed)) is not None:
            raise RunError(
                f"{other.path} and {folder} are both runs of the world {found.name} by seed {seed}; leave one of them in {out}, "
                "or rename the file of its world and play it again"
            )
        runs[found.name][seed] = found
    if not runs:
        raise RunError(f"{out} has no runs of witnesses: `debate witnesses --out {out}` plays them")
    said = hashlib.sha256()
    for name, by_seed in sorted(runs.items()):
        for seed, run in sorted(by_seed.items()):
            said.update(f"{name} {seed} {run.digest}\n".encode())
    return Witnessed(tuple(world_table(by_seed) for _, by_seed in sorted(runs.items())), said.hexdigest()[:12])


def world_table(runs: Mapping[int, WorldRun]) -> WorldTable:
    """Return the table of one world from its runs by training seed.

    Raises:
        RunError: they were asked different questions or methods, or none by one witness alone.
    """
    seeds, first = tuple(sorted(runs)), next(iter(runs.values()))
    methods = list(first.rows)
    for run in runs.values():
        if apart := sorted(set(run.rows) ^ set(methods)):
            raise RunError(
                f"{first.path} and {run.path} have different rows ({', '.join(apart)} in one alone): play these with every seed"
            )
    if any(run.questions != first.questions for run in runs.values()):
        raise RunError(f"{first.name}: its training seeds were asked different questions; give one --limit")
    if SINGLE not in methods:
        raise RunError(f"{first.path} has no row `single`, which gains are counted from: play it as well")
    ordered = [runs[seed] for seed in seeds]
    cells = {name: _cell(name, ordered) for name in methods}
    reads = [_reader(run.reader) for run in ordered if run.reader is not None]
    hearers = {}
    for name in first.hearers:
        found = [_hearer(run.hearers[name]) for run in ordered if name in run.hearers]
        hearers[name] = _mean(found)
    reader = (float(np.mean([d for d, _ in reads])), float(np.mean([e for _, e in reads]))) if reads else None
    pairs = _pairs(ordered)
    return WorldTable(
        name=first.name,
        questions=len(first.questions),
        seeds=seeds,
        optima=optima(first.world),
        cells=cells,
        reader=reader,
        hearers=hearers,
        pairs=pairs,
        by_seed=tuple(tuple(_difference(run, pair) for run in ordered) for pair in pairs),
        stated={
            name: _mean_stated([run.stated[name] for run in ordered if name in run.stated]) for name in first.stated
        },
    )


def _difference(run: WorldRun, pair: Comparison) -> float:
    return float(run.rows[pair.first].right.mean() - run.rows[pair.second].right.mean())


def _mean_stated(found: Sequence[Stated]) -> Stated:
    return Stated(**{name: float(np.mean([vars(one)[name] for one in found])) for name in vars(found[0])})


def _pairs(runs: Sequence[WorldRun]) -> tuple[Comparison, ...]:
    played = {name for pair in PAIRS for name in pair if all(name in run.rows for run in runs)}
    outcomes = {
        name: {
            question: [float(run.rows[name].right[place]) for run in runs]
            for place, question in enumerate(runs[0].questions)
        }
        for name in played
    }
    return tuple(compare_all(outcomes, [pair for pair in PAIRS if played.issuperset(pair)]))


def _cell(name: str, runs: Sequence[WorldRun]) -> Cell:
    by_seed = [(run.rows[name].right, run.rows[SINGLE].right, run.rows[BAYES].right) for run in runs]
    ours, single, bayes = (np.mean([rows[place] for rows in by_seed], axis=0) for place in range(3))
    drawn = np.random.default_rng(0).integers(0, len(ours), size=(RESAMPLES, len(ours)))
    low, high = np.quantile(ours[drawn].mean(axis=1), (0.025, 0.975))
    # Where every question came to the same there is nothing to resample; that is not to know the share exactly.
    alike = bool((ours == ours[0]).all())
    return Cell(
        right=float(ours.mean()),
        interval=wilson(round(float(ours.sum())), len(ours)) if alike else Interval(float(low), float(high)),
        counts=tuple(int(right.sum()) for right, _, _ in by_seed),
        places=float(np.mean([run.rows[name].places.mean() for run in runs])),
        gain=share_of_gain(ours, single, bayes),
        gain_interval=_gain_interval(ours[drawn].mean(axis=1), single[drawn].mean(axis=1), bayes[drawn].mean(axis=1)),
        gain_by_seed=tuple(share_of_gain(*rows) for rows in by_seed),
        tokens=float(np.mean([run.rows[name].tokens.mean() for run in runs])),
    )


def share_of_gain(ours: Counts, single: Counts, bayes: Counts) -> float:
    """Return which share of what could be gained over one witness a row gains, of outcomes over the same questions."""
    possible = float(bayes.mean() - single.mean())
    return float(ours.mean() - single.mean()) / possible if possible else float("nan")


def _gain_interval(ours: Counts, single: Counts, bayes: Counts) -> Interval:
    possible = bayes - single
    if not (possible > 0).all():
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile((ours - single) / possible, (0.025, 0.975))
    return Interval(float(low), float(high))


def _reader(beliefs: Beliefs) -> tuple[float, float]:
    return divergence(beliefs.own, beliefs.held), calibration_error(beliefs)


def _hearer(beliefs: Beliefs) -> Hearer:
    best = pooled([beliefs.own, beliefs.others])
    levels = sorted(set(beliefs.levels.tolist()))
    return Hearer(
        slope=slope(beliefs),
        by_level={level: slope(beliefs, beliefs.levels == level) for level in levels},
        distance=divergence(best, beliefs.held),
        error=calibration_error(beliefs),
    )


def slope(beliefs: Beliefs, of: np.ndarray | None = None) -> float:
    """Return the least-squares slope, through zero, of what a message did to log-probabilities on what it ought to do.

    What it did is log held − log own, what it ought to do log others, both centred over the symbols of each place: the optimum
    pools beliefs by their product, and has 1. `of` [N] says which places count.
    """
    chosen = np.ones(len(beliefs.held), dtype=bool) if of is None else of
    did = np.log(beliefs.held[chosen]) - np.log(beliefs.own[chosen])
    ought = np.log(beliefs.others[chosen])
    did, ought = (values - values.mean(axis=1, keepdims=True) for values in (did, ought))
    square = float((ought * ought).sum())
    return float((did * ought).sum()) / square if square else float("nan")


def divergence(best: np.ndarray, held: np.ndarray) -> float:
    """Return the mean Kullback-Leibler divergence of beliefs [N, A] from the best ones, in nats."""
    return float((best * (np.log(best) - np.log(held))).sum(axis=1).mean()) if len(best) else float("nan")


def calibration_error(beliefs: Beliefs) -> float:
    """Return the expected calibration error of the likeliest symbol over all places, in ten bins."""
    likeliest = beliefs.held.argmax(axis=1)
    found = calibration(beliefs.held.max(axis=1).clip(0, 1).tolist(), (likeliest == beliefs.right).tolist())
    return float("nan") if found is None else found.error


def _mean(hearers: Sequence[Hearer]) -> Hearer:
    levels = hearers[0].by_level
    return Hearer(
        slope=float(np.mean([hearer.slope for hearer in hearers])),
        by_level={level: float(np.mean([hearer.by_level[level] for hearer in hearers])) for level in levels},
        distance=float(np.mean([hearer.distance for hearer in hearers])),
        error=float(np.mean([hearer.error for hearer in hearers])),
    )
