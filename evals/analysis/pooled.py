"""Paired comparisons over the questions of several runs: the same methods, asked other questions in each."""

from collections.abc import Sequence

from evals.analysis import stats
from evals.analysis.run_record import RunRecord
from evals.analysis.stats import Comparison
from evals.analysis.summary import dependent


def pooled(records: Sequence[RunRecord], against: str) -> list[Comparison]:
    """Return the comparison of each other method with one, over the questions of all runs, corrected together.

    Args:
        records: the runs.
        against: the method that the others are compared with, which every run has.

    Raises:
        StatisticsError: a run has no such method, or a question of another.
    """
    outcomes: dict[str, dict[str, Sequence[float]]] = {}
    for record in records:
        found = {method.name: method.outcomes() for method in record.methods if method.debates}
        if against not in found:
            raise stats.StatisticsError(f"{record.path} has no method {against!r} to compare with")
        for name, own in found.items():
            if again := sorted(set(outcomes.setdefault(name, {})) & set(own)):
                raise stats.StatisticsError(
                    f"{record.path} asks question {again[0]!r}, as another run does: it would be counted twice"
                )
            outcomes[name] |= own
    hang = {name for record in records for name in dependent(record.methods)}
    wanted = [(name, against) for name in outcomes if name != against]
    return stats.compare_all(outcomes, wanted, dependent=hang)
