"""The fair table: methods over the same questions with intervals, and their paired differences in words."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from debate.cli.options import console
from evals.analysis import tables
from evals.analysis.summary import Analysis, Share
from evals.analysis.tables import Cells, Column, cells, known, of_beliefs, of_budget
from evals.analysis.verdict import hanging, remark, ties
from evals.provenance import engines_in_words


def _points(share: Share) -> str:
    return f"{100 * share.value:.1f}"


# Short headings and few digits: a terminal is 80 wide.
ACCURACY = (
    Column("method", lambda method: method.name + ("*" if method.is_bound else "")),
    tables.CORRECT,
    Column("%", lambda method: _points(method.accuracy)),
    Column(
        "95 %",
        lambda method: (
            tables.NOTHING
            if method.is_dependent
            else f"{100 * method.accuracy.interval.low:.0f}–{100 * method.accuracy.interval.high:.0f}"
        ),
    ),
    Column("strict", lambda method: tables.NOTHING if method.strict is None else _points(method.strict)),
    tables.NO_ANSWER,
    tables.FAILED,
)
COST = (
    tables.METHOD,
    tables.GENERATED,
    tables.COMPUTED.named("computed"),
    tables.CACHED.named("cached"),
    of_budget("KiB", lambda spent: f"{spent.message_bytes / 1024:,.0f}"),
    of_budget("s", lambda spent: known(spent.seconds, ".1f")),
    of_budget("joules", lambda spent: known(spent.joules, ",.0f")),
)
BELIEF = (
    tables.METHOD,
    tables.BELIEFS.named("held"),
    tables.EXACT,
    of_beliefs("best %", lambda held: _points(held.correct)),
    of_beliefs("right %", lambda held: f"{100 * held.probability:.1f}"),
    tables.NLL,
    tables.BRIER,
    tables.CALIBRATION,
)


def show_analysis(analysis: Analysis) -> None:
    """Print a run's table, its paired differences, and what to make of few questions."""
    config = analysis.record.config
    console.print(fair_table(analysis), cost_table(analysis))
    console.print(
        "95 %: Wilson's interval. strict: only answers in the form that the task asks for. no answer, failed: count as not "
        "correct. generated: output tokens. computed, cached: prompt tokens. KiB: size of messages. s: wall time with engines "
        "started. joules: energy, if available.",
        markup=False,
        style="dim",
    )
    if any(method.is_bound for method in analysis.methods):
        console.print(
            "Rows with * are bounds: a control that knows the answer, or knows nothing, takes part.", style="dim"
        )
    if any(method.held for method in analysis.methods):
        console.print(belief_table(analysis))
        console.print(
            "Last messages of the deciding agents: number with a belief, number with every option in it, share in which the most "
            "probable option was right, and mean probability of the right option.",
            markup=False,
            style="dim",
        )
    if analysis.comparisons:
        console.print(
            "\nPaired differences (exact McNemar, corrected by Holm; detectable: minimum detectable difference at 80 % power):"
        )
        for comparison in analysis.comparisons:
            console.print(f"  {comparison.sentence}", markup=False, soft_wrap=True)
    console.print(
        f"{engines_in_words(method.config for method in analysis.record.methods)}, seed {config.seed}",
        markup=False,
        style="dim",
    )
    for sentence in (ties(analysis.methods), remark(analysis), hanging(analysis.methods)):
        if sentence:
            console.print(sentence, markup=False)


def fair_table(analysis: Analysis) -> Table:
    """Return the table of methods: how they did."""
    total = max((method.asked for method in analysis.methods), default=0)
    title = f"{analysis.record.config.task}: {total} questions, the same for every method"
    return _table(title, cells(ACCURACY, analysis.methods))


def cost_table(analysis: Analysis) -> Table:
    """Return the table of methods: what they cost."""
    return _table("", cells(COST, analysis.methods))


def belief_table(analysis: Analysis) -> Table:
    """Return the table of what deciding agents believe of the options of a choice."""
    holding = [method for method in analysis.methods if method.held is not None]
    return _table("beliefs over the options, at the end", cells(BELIEF, holding))


def _table(title: str, found: Cells) -> Table:
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, name in enumerate(found.header):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in found.rows:
        table.add_row(*row)
    return table
