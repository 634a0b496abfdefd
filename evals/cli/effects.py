"""`debate effects`: what hearing each message did to its hearer, by control and edge."""

from collections.abc import Sequence
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def effects(
    run: options.RunFolder,
    method: Annotated[str, typer.Option("--method", help="Method of the run whose edges are measured.")] = "cipher",
    limit: options.Limit = None,
    steps: Annotated[
        int, typer.Option("--steps", min=1, help="Maximum number of tokens of each intact answer to look at.")
    ] = 16,
    contents: Annotated[
        str | None, typer.Option("--contents", help="Controls to measure, e.g. top1,swapped,silence (default: all).")
    ] = None,
) -> None:
    """Measure what messages do to their hearers' beliefs: KL of what is believed after a message from that after a control.

    The hearer reads its own intact answer token by token. Written to METHOD/effects.json; `debate report` shows it.

    Example:  debate effects runs/walk --method cipher --limit 50
    """
    from evals.analysis.effects import effect_cells
    from evals.effects import ALL, known_contents, measure_run

    found = options.run(
        measure_run(
            run,
            method,
            steps=steps,
            contents=known_contents(options.listed(contents)) or ALL,
            limit=limit,
            progress=options.progress,
        )
    )
    show_effects(found.method, effect_cells(found))


def show_effects(method: str, cells: Sequence[Sequence[str]]) -> None:
    """Print the table of what was measured of a method, its header first."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from evals.analysis.effects import HOW

    header, *rows = cells
    title = f"{method}: what a control in a message's place does to its hearer"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in header:
        table.add_column(name, justify="left" if name in ("edge", "control") else "right")
    for row in rows:
        table.add_row(*row)
    options.console.print(table)
    options.console.print(HOW, markup=False, style="dim")
