"""`debate report`: what is derived from a run's journal, made again."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run folder; it may be under way.")]) -> None:
    """Rebuild results.json and the transcripts from the journal, and print the table.

    Example:  debate report runs/first
    """
    from debate.cli.screen import results_table
    from debate.run_folder import read_results, rebuild

    written = rebuild(run)
    results = read_results(run)
    options.console.print(results_table(list(results.rows.values()), results.run["config"]["task"]))
    options.console.print(f"wrote {written}", markup=False)
