"""What a table of methods comes to, in one voice: what ties, and whether so few questions tell anything."""

from collections.abc import Sequence

from evals.analysis.stats import DEPENDENT
from evals.analysis.summary import Analysis, Summary

# Below it only a large difference can be found.
FEW = 100


def ties(methods: Sequence[Summary]) -> str:
    """Return a sentence where several methods have the highest accuracy; empty where one has. Bounds do not compete."""
    competing = [method for method in methods if not method.is_bound and method.accuracy.total]
    best = max((method.accuracy.value for method in competing), default=0.0)
    tied = [method for method in competing if method.accuracy.value == best]
    if len(tied) < 2:
        return ""
    names = ", ".join(method.name for method in tied[:-1]) + f" and {tied[-1].name}"
    counts = {(method.accuracy.count, method.accuracy.total) for method in tied}
    at = f"{100 * best:.1f} %" if len(counts) > 1 else "{} of {}".format(*counts.pop())
    return f"{names} tie for the highest accuracy: {at}."


def remark(analysis: Analysis) -> str:
    """Return a sentence on what so few questions tell; empty where there are many, or a difference was found among them.

    A difference that the corrected test finds stands by itself: it must not be called nothing in the next line.
    """
    asked = min((method.accuracy.total for method in analysis.methods), default=0)
    if asked >= FEW or any(comparison.is_distinguishable for comparison in analysis.comparisons):
        return ""
    return f"{asked} question{' shows' if asked == 1 else 's show'} that it runs, not who wins."


def hanging(methods: Sequence[Summary]) -> str:
    """Return a sentence on methods whose questions depend on each other; empty where there are none."""
    names = [method.name for method in methods if method.is_dependent]
    if not names:
        return ""
    return (
        f"{', '.join(names)}: {DEPENDENT}, so that no interval and no test over questions holds; what else is said of "
        f"{'it' if len(names) == 1 else 'them'} with an interval, by round or in charts, is to be set aside. Play several orders "
        "(--shuffle with other seeds), and compare runs."
    )
