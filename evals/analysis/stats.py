"""Whether a difference can be believed: intervals, paired comparisons, power, calibration. Pure functions over numbers.

Over scipy and statsmodels; what they lack (the score interval of a paired difference, the power of the exact McNemar
test) is written here from its source. Everything random takes a seed.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from agents.errors import DebateError, MissingDependency

RESAMPLES = 10_000
POWER = 0.8
DEPENDENT = "questions depend on those before them (memory: questions)"
Outcomes = Mapping[str, Sequence[float]]
"""Question → the outcome of each of its samples, 1 correct and 0 not."""


class StatisticsError(DebateError):
    """Numbers that a statistic cannot be made of."""


@dataclass(frozen=True)
class Interval:
    """A range of shares or of differences, ends included."""

    low: float
    high: float

    def covers(self, value: float) -> bool:
        """Whether a value lies in it."""
        return self.low <= value <= self.high


def wilson(successes: int, total: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share; of nothing counted, everything from 0 to 1."""
    if not 0 <= successes <= total:
        raise StatisticsError(f"successes must be between 0 and the total of {total}; got {successes}")
    if total == 0:
        return Interval(0.0, 1.0)
    low, high = _statsmodels("stats.proportion").proportion_confint(
        successes, total, alpha=1 - confidence, method="wilson"
    )
    return Interval(max(0.0, float(low)), min(1.0, float(high)))


def clustered(clusters: Sequence[Sequence[bool]], confidence: float = 0.95) -> Interval:
    """Return the interval of a share whose outcomes come in clusters, such as agents' answers to one question.

    Wilson's interval at the effective sample size: the binomial variance over the cluster-robust one (linearised; Korn and
    Graubard, 1998, Survey Methodology 24; Kish's design effect). Where all outcomes are alike nothing is known of how they
    hang together, and each cluster counts as one.
    """
    kept = [cluster for cluster in clusters if cluster]
    outcomes = sum(len(cluster) for cluster in kept)
    if outcomes == 0:
        return Interval(0.0, 1.0)
    mean = sum(sum(cluster) for cluster in kept) / outcomes
    count = float(len(kept))
    if 0 < mean < 1 and count > 1:
        spread = sum((sum(cluster) - len(cluster) * mean) ** 2 for cluster in kept)
        variance = count / (count - 1) * spread / outcomes**2
        # Answers that differ within each question more than by chance are not worth more than independent ones.
        count = min(float(outcomes), mean * (1 - mean) / variance) if variance else float(outcomes)
    low, high = _statsmodels("stats.proportion").proportion_confint(
        mean * count, count, alpha=1 - confidence, method="wilson"
    )
    return Interval(max(0.0, float(low)), min(1.0, float(high)))


def bootstrap(values: Sequence[float], *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Return the percentile bootstrap interval of a mean (Efron), over 10,000 seeded resamples.

    Where questions have several samples, `values` holds one mean a question: resampling questions with all their
    samples is what clustering means.
    """
    drawn = np.asarray(values, dtype=float)
    if len(drawn) == 0:
        raise StatisticsError("an interval needs at least one value")
    if bool((drawn == drawn[0]).all()):
        return Interval(float(drawn[0]), float(drawn[0]))
    found = _scipy("stats").bootstrap(
        (drawn,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
        batch=max(1, 2_000_000 // len(drawn)),
    )
    return Interval(float(found.confidence_interval.low), float(found.confidence_interval.high))


def share(outcomes: Outcomes, *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Return the interval of an accuracy: Wilson's with one sample a question, else the bootstrap over questions."""
    means = _means(outcomes)
    if all(len(samples) == 1 for samples in outcomes.values()) and set(means) <= {0.0, 1.0}:
        return wilson(int(sum(means)), len(means), confidence)
    if len(set(means)) == 1:
        # Without spread there is nothing to resample; Wilson's interval over questions errs on the wide side.
        return wilson(round(means[0] * len(means)), len(means), confidence)
    return bootstrap(means, confidence=confidence, seed=seed)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p value that the pairs which differ fall either way alike (McNemar, 1947)."""
    if only_first + only_second == 0:
        return 1.0
    table = [[0, only_first], [only_second, 0]]
    return float(_statsmodels("stats.contingency_tables").mcnemar(table, exact=True).pvalue)


def score_interval(only_first: int, only_second: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the score interval of the difference of two paired shares (Tango, 1998, Statistics in Medicine 17).

    It keeps its width where few pairs differ, or none: then a bootstrap would claim to know the difference exactly.

    Args:
        only_first, only_second: pairs that only the first, only the second got right.
        total: all pairs.
        confidence: confidence level of the interval.
    """
    if total == 0:
        return Interval(-1.0, 1.0)
    brentq, normal = _scipy("optimize").brentq, _scipy("stats").norm
    bound = float(normal.ppf(0.5 + confidence / 2))

    def statistic(difference: float) -> float:
        # q: the share of pairs that only the second gets right, at its likeliest if the difference were this one.
        linear = 2 * total * difference - (only_first - only_second) * difference - only_first - only_second
        constant = -only_second * difference * (1 - difference)
        q = (math.sqrt(max(linear * linear - 8 * total * constant, 0.0)) - linear) / (4 * total)
        variance = total * (2 * q + difference * (1 - difference))
        excess = only_first - only_second - total * difference
        return excess / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, excess) if excess else 0.0

    estimate = (only_first - only_second) / total
    edge = 1 - 1e-12
    low = -1.0 if statistic(-edge) <= bound else brentq(lambda d: statistic(d) - bound, -edge, min(estimate, edge))
    high = 1.0 if statistic(edge) >= -bound else brentq(lambda d: statistic(d) + bound, max(estimate, -edge), edge)
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class Comparison:
    """Two methods over the same questions.

    Attributes:
        first, second: their names; differences are first − second.
        questions: that both answered.
        samples: pairs in all; more than the questions where there are several samples a question.
        difference: difference of the accuracies over those questions.
        interval: of the difference: Tango's score interval, or with several samples the bootstrap over questions.
        resampled: the paired bootstrap interval, seeded.
        only_first, only_second: questions where one did better than the other.
        p_value: exact McNemar; with several samples an exact or seeded sign-flip test over questions.
        adjusted: the p value corrected for all comparisons made together (Holm); the same for one alone.
        detectable: the smallest difference that this many questions find at 80 % power; None where none would do.
        confidence: confidence level of the intervals.
        is_dependent: whether questions of one depend on each other, so that neither the intervals nor the test hold.
    """

    first: str
    second: str
    questions: int
    samples: int
    difference: float
    interval: Interval
    resampled: Interval
    only_first: int
    only_second: int
    p_value: float
    adjusted: float
    detectable: float | None
    confidence: float
    is_dependent: bool = False

    @property
    def is_distinguishable(self) -> bool:
        """Whether interval and corrected test both say that the difference is not zero."""
        return not self.is_dependent and not self.interval.covers(0.0) and self.adjusted < 1 - self.confidence

    @property
    def verdict(self) -> str:
        """Which is better, or that they are not distinguishable."""
        if not self.is_distinguishable:
            return "not distinguishable"
        return f"{self.first} is better" if self.difference > 0 else f"{self.first} is worse"

    @property
    def sentence(self) -> str:
        """The comparison in plain words."""
        points = f"{_signed(self.difference)} points"
        ends = f"{100 * self.confidence:g} % interval {_signed(self.interval.low)} to {_signed(self.interval.high)}"
        counted = f"{self.questions} question{'' if self.questions == 1 else 's'}"
        asked = counted.replace(" ", " paired ")
        if self.samples > self.questions:
            asked += f" with {self.samples / self.questions:g} samples each"
        if self.is_dependent:
            return f"{self.first} − {self.second} = {points}, {asked}: no interval and no test, as {DEPENDENT}"
        said = f"{self.first} − {self.second} = {points}, {ends}, {asked}: {self.verdict}"
        if self.is_distinguishable:
            return f"{said} (p = {self.adjusted:.2g})"
        if not self.only_first + self.only_second:
            said += ", no pair differs"
        if self.detectable is None:
            return f"{said} ({counted} cannot show any difference)"
        return f"{said} (p = {self.adjusted:.2g}; detectable: {100 * self.detectable:.1f})"


def compare(
    first: str, one: Outcomes, second: str, other: Outcomes, *, confidence: float = 0.95, seed: int = 0
) -> Comparison:
    """Return the paired comparison of two methods over the questions that both have.

    Raises:
        StatisticsError: they share no question, or a question has another number of samples in each.
    """
    shared = sorted(set(one) & set(other))
    if not shared:
        raise StatisticsError(f"{first} and {second} have no question in common: nothing to compare")
    uneven = [question for question in shared if len(one[question]) != len(other[question])]
    if uneven:
        name = uneven[0]
        raise StatisticsError(
            f"question {name!r} has {len(one[name])} samples of {first} and {len(other[name])} of {second}; pairs need as many"
        )
    ours, theirs = _means({q: one[q] for q in shared}), _means({q: other[q] for q in shared})
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    only_first = sum(difference > 0 for difference in differences)
    only_second = sum(difference < 0 for difference in differences)
    samples = sum(len(one[question]) for question in shared)
    resampled = bootstrap(differences, confidence=confidence, seed=seed)
    single = samples == len(shared)
    if single or resampled.low == resampled.high:
        interval = score_interval(only_first, only_second, len(shared), confidence)
    else:
        interval = resampled
    p_value = mcnemar(only_first, only_second) if single else sign_flip(differences, seed=seed)
    discordant = (only_first + only_second) / len(shared)
    return Comparison(
        first=first,
        second=second,
        questions=len(shared),
        samples=samples,
        difference=float(np.mean(differences)),
        interval=interval,
        resampled=resampled,
        only_first=only_first,
        only_second=only_second,
        p_value=p_value,
        adjusted=p_value,
        detectable=detectable_difference(len(shared), discordant, alpha=1 - confidence),
        confidence=confidence,
    )


def compare_all(
    methods: Mapping[str, Outcomes],
    pairs: Sequence[tuple[str, str]] | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    dependent: Collection[str] = (),
) -> list[Comparison]:
    """Return the comparison of every pair (or of the named ones), p values corrected together by Holm's method.

    The names of a pair stay in order: differences are first − second. `dependent` names the methods whose questions depend on
    each other: a comparison with one is no test, and none is corrected for it.
    """
    wanted = list(combinations(methods, 2)) if pairs is None else list(pairs)
    found = [compare(a, methods[a], b, methods[b], confidence=confidence, seed=seed) for a, b in wanted]
    untested = [not {a, b}.isdisjoint(dependent) for a, b in wanted]
    adjusted = iter(holm([one.p_value for one, skipped in zip(found, untested, strict=True) if not skipped]))
    return [
        replace(one, p_value=1.0, adjusted=1.0, is_dependent=True) if skipped else replace(one, adjusted=next(adjusted))
        for one, skipped in zip(found, untested, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for having made all these comparisons (Holm, 1979)."""
    # statsmodels has it too, with a garbage collection of 50 ms at each call; the tests hold this to it.
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1.0)
    return [float(p) for p in adjusted]


def sign_flip(differences: Sequence[float], *, seed: int = 0) -> float:
    """Return the two-sided p value that differences of questions are symmetric about zero (Fisher's randomisation test).

    Exact where all signs of the non-zero differences can be tried or all are as large, else over seeded draws.
    """
    values = np.asarray([difference for difference in differences if difference != 0], dtype=float)
    if len(values) < 2:
        # Of one difference both signs are as far from zero.
        return 1.0
    if np.ptp(np.abs(values)) == 0:
        # The sum follows from how many are positive.
        return mcnemar(int((values > 0).sum()), int((values < 0).sum()))
    found = _scipy("stats").permutation_test(
        (values,),
        np.sum,
        permutation_type="samples",
        n_resamples=RESAMPLES - 1,
        vectorized=True,
        batch=max(1, 2_000_000 // len(values)),
        rng=np.random.default_rng(seed),
    )
    return float(min(1.0, found.pvalue))


def power(questions: int, discordant: float, difference: float, *, alpha: float = 0.05) -> float:
    """Return how often the exact McNemar test finds a true difference, summed over every outcome.

    Args:
        questions: paired, one sample each.
        discordant: true share of pairs that differ, at least the difference.
        difference: true difference of the accuracies.
        alpha: level of the test.
    """
    binom = _scipy("stats").binom
    if not abs(difference) <= discordant <= 1:
        raise StatisticsError(
            f"a difference of {difference} needs a share of differing pairs in [{abs(difference)}, 1]"
        )
    if discordant == 0:
        return 0.0
    counts = np.arange(questions + 1)
    chance = binom.pmf(counts, questions, discordant)
    counts, chance = counts[chance > 1e-12], chance[chance > 1e-12]
    toward = (discordant + abs(difference)) / (2 * discordant)
    # The largest count on the losing side at which the test of n differing pairs still rejects; −1 where it never does.
    edge = binom.ppf(alpha / 2, counts, 0.5) - 1
    edge = np.where(binom.cdf(edge + 1, counts, 0.5) <= alpha / 2, edge + 1, edge)
    rejects = binom.cdf(edge, counts, 1 - toward) + binom.sf(counts - edge - 1, counts, 1 - toward)
    return float(np.sum(chance * np.where(edge < 0, 0.0, rejects)))


# Found by bisection over sums of every outcome, a thousand times slower than the rest of a comparison.
@lru_cache(maxsize=4096)
def detectable_difference(
    questions: int, discordant: float, *, wanted: float = POWER, alpha: float = 0.05
) -> float | None:
    """Return the smallest true difference that so many paired questions find with the wanted power; None if none.

    Args:
        questions: paired.
        discordant: share of pairs that differ, as observed; at least the difference itself, of course.
        wanted: power.
        alpha: level of the exact McNemar test.
    """

    def found(difference: float) -> float:
        return power(questions, max(discordant, difference), difference, alpha=alpha)

    if questions == 0 or found(1.0) < wanted:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) >= wanted else (middle, high)
    return high


@dataclass(frozen=True)
class Bin:
    """Predictions of like confidence: their number, mean confidence, and the share that was right."""

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far confidence is from accuracy.

    Attributes:
        error: expected calibration error, Σ share · |accuracy − confidence| over ten equal bins (Naeini et al., 2015).
        bins: those that are not empty.
    """

    error: float
    bins: tuple[Bin, ...]


def calibration(confidences: Sequence[float], correct: Sequence[bool], *, bins: int = 10) -> Calibration | None:
    """Return the calibration of confidences between 0 and 1; None without any."""
    if not len(confidences):
        return None
    held, right = np.asarray(confidences, dtype=float), np.asarray(correct, dtype=float)
    if len(held) != len(right) or held.min() < 0 or held.max() > 1:
        raise StatisticsError("calibration needs one confidence between 0 and 1 for each outcome")
    places = np.minimum((held * bins).astype(int), bins - 1)
    found = tuple(
        Bin(int(inside.sum()), float(held[inside].mean()), float(right[inside].mean()))
        for inside in (places == place for place in range(bins))
        if inside.any()
    )
    error = sum(bin_.count * abs(bin_.accuracy - bin_.confidence) for bin_ in found) / len(held)
    return Calibration(float(error), found)


def _means(outcomes: Outcomes) -> list[float]:
    empty = [question for question, samples in outcomes.items() if not len(samples)]
    if empty:
        raise StatisticsError(f"question {empty[0]!r} has no samples")
    return [float(sum(samples)) / len(samples) for samples in outcomes.values()]


def _signed(value: float) -> str:
    """Return a difference in points with its sign, e.g. `+2.5` or `−1.0`."""
    points = round(100 * value, 1)
    return f"{'−' if points < 0 else '+'}{abs(points):.1f}"


def _scipy(name: str) -> Any:
    return _library("scipy", name)


def _statsmodels(name: str) -> Any:
    return _library("statsmodels", name)


def _library(package: str, name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("scipy", "statsmodels", "pandas", "patsy"):
            raise
        raise MissingDependency("statistics", package, "evals") from error
