"""The fair table: methods over the same questions with intervals, and their paired differences in words."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from debate.cli.options import console

FEW = 100


def show_analysis(analysis: Any) -> None:
    """Print a run's table, its paired differences, and what to make of few questions."""
    config = analysis.record.config
    console.print(fair_table(analysis), cost_table(analysis))
    console.print(
        "95 %: Wilson's interval; strict: only answers in the form that the task asks for; no answer and failed count as not "
        "correct. Tokens generated; of prompts computed and cached; KiB of messages; s of wall time, engines started; joules "
        "where the machine tells.",
        markup=False,
        style="dim",
    )
    if any(method.is_bound for method in analysis.methods):
        console.print("Rows with * are bounds: a control debates that knows, or knows nothing.", style="dim")
    if any(method.held for method in analysis.methods):
        console.print(belief_table(analysis))
        console.print(
            "Of the deciding agents' last messages: how many hold a belief, and one in which every option was kept; how often "
            "the option believed most was right; what the right one got, in the mean.",
            markup=False,
            style="dim",
        )
    if analysis.comparisons:
        console.print(
            "\nPaired differences (exact McNemar, corrected by Holm; detectable: found in 4 of 5 evaluations):"
        )
        for comparison in analysis.comparisons:
            console.print(f"  {comparison.sentence}", markup=False, soft_wrap=True)
    console.print(
        f"model {config.model}, {config.dtype}, backend {config.backend}, seed {config.seed}", markup=False, style="dim"
    )
    asked = min((method.accuracy.total for method in analysis.methods), default=0)
    if asked < FEW:
        console.print(f"{asked} questions show that it runs, not who wins.", markup=False)


def fair_table(analysis: Any) -> Table:
    """Return the table of methods: how they did."""
    total = max((method.asked for method in analysis.methods), default=0)
    title = f"{analysis.record.config.task}: {total} questions, the same for every method"
    table = _table(title, "correct", "%", "95 %", "strict", "no answer", "failed")
    for method in analysis.methods:
        share = method.accuracy
        table.add_row(
            method.name + ("*" if method.is_bound else ""),
            f"{share.count}/{share.total}",
            f"{100 * share.value:.1f}",
            f"{100 * share.interval.low:.0f}–{100 * share.interval.high:.0f}",
            "–" if method.strict is None else f"{100 * method.strict.value:.1f}",
            str(method.no_answer),
            str(method.failed),
        )
    return table


def cost_table(analysis: Any) -> Table:
    """Return the table of methods: what they cost."""
    table = _table("", "generated", "computed", "cached", "KiB", "s", "joules")
    for method in analysis.methods:
        spent = method.budget
        table.add_row(
            method.name,
            f"{spent.generated_tokens:,}",
            f"{spent.computed_tokens:,}",
            f"{spent.cached_tokens:,}",
            f"{spent.message_bytes / 1024:,.0f}",
            "–" if spent.seconds is None else f"{spent.seconds:.1f}",
            "–" if spent.joules is None else f"{spent.joules:,.0f}",
        )
    return table


def belief_table(analysis: Any) -> Table:
    """Return the table of what deciding agents believe of the options of a choice."""
    title = "beliefs over the options, at the end"
    table = _table(title, "held", "exact", "best %", "right %", "NLL", "Brier", "ECE")
    for method in analysis.methods:
        if (held := method.held) is None:
            continue
        table.add_row(
            method.name,
            str(held.count),
            str(held.exact),
            f"{100 * held.correct.value:.1f}",
            f"{100 * held.probability:.1f}",
            f"{held.nll:.3f}",
            f"{held.brier:.3f}",
            "–" if held.calibration is None else f"{held.calibration.error:.3f}",
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("method", *columns):
        table.add_column(name, justify="left" if name == "method" else "right", no_wrap=True)
    return table
