"""Tables of methods, as the terminal and the page show them: named columns, and what each method has in them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from evals.analysis.summary import BeliefSummary, Budget, Share, Summary

NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A column: its heading, and a method's cell in it."""

    name: str
    cell: Callable[[Summary], str]

    def named(self, name: str) -> "Column":
        """Return the same column under another heading."""
        return replace(self, name=name)


@dataclass(frozen=True)
class Cells:
    """A table's texts."""

    header: list[str]
    rows: list[list[str]]


def cells(columns: Sequence[Column], methods: Iterable[Summary]) -> Cells:
    """Return the texts of a table with a row for each method."""
    return Cells(
        [column.name for column in columns], [[column.cell(method) for column in columns] for method in methods]
    )


def of_budget(name: str, cell: Callable[[Budget], str]) -> Column:
    """Return a column of what methods cost."""
    return Column(name, lambda method: cell(method.budget))


def of_beliefs(name: str, cell: Callable[[BeliefSummary], str]) -> Column:
    """Return a column of what deciding agents believe of the options, for methods that hold beliefs."""
    return Column(name, lambda method: NOTHING if method.held is None else cell(method.held))


def percent(share: Share) -> str:
    """Return a share as `12.3 %`."""
    return f"{100 * share.value:.1f} %"


def interval(share: Share) -> str:
    """Return a share's interval as `10.1 – 15.2`, in percent."""
    return f"{100 * share.interval.low:.1f} – {100 * share.interval.high:.1f}"


def known(value: float | None, form: str) -> str:
    """Return a value in a format, or a dash where it is not known."""
    return NOTHING if value is None else format(value, form)


METHOD = Column("method", lambda method: method.name)
CORRECT = Column("correct", lambda method: f"{method.accuracy.count}/{method.accuracy.total}")
NO_ANSWER = Column("no answer", lambda method: str(method.no_answer))
FAILED = Column("failed", lambda method: str(method.failed))
GENERATED = of_budget("generated", lambda spent: f"{spent.generated_tokens:,}")
COMPUTED = of_budget("prompt computed", lambda spent: f"{spent.computed_tokens:,}")
CACHED = of_budget("prompt cached", lambda spent: f"{spent.cached_tokens:,}")
BELIEFS = of_beliefs("beliefs", lambda held: str(held.count))
EXACT = of_beliefs("exact", lambda held: str(held.exact))
NLL = of_beliefs("NLL", lambda held: f"{held.nll:.3f}")
BRIER = of_beliefs("Brier", lambda held: f"{held.brier:.3f}")
CALIBRATION = of_beliefs("ECE", lambda held: NOTHING if held.calibration is None else f"{held.calibration.error:.3f}")
