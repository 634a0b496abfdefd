"""Intervals of proportions."""

from typing import NamedTuple

from agents.errors import MissingDependency


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


def wilson(successes: int, total: int, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion; (0, 1) of nothing."""
    try:
        from statsmodels.stats.proportion import proportion_confint
    except ModuleNotFoundError as error:
        raise MissingDependency("an interval", str(error.name), "evals") from error
    if not total:
        return Interval(0.0, 1.0)
    low, high = proportion_confint(successes, total, alpha=1 - confidence, method="wilson")
    return Interval(float(low), float(high))
