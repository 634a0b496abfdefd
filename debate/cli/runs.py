"""`debate runs`: the runs below a folder."""

import json
from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Folder whose runs are listed.")] = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """List runs, the latest first: how each stands, its task and model, and the score of each method.

    Example:  debate runs
    """
    import time

    from rich.table import Table

    from agents.errors import RunError
    from debate.run_folder.runs import list_runs

    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder. Runs are kept where --out says (default: runs/CONFIG).")
    found = list_runs(folder)
    if as_json:
        typer.echo(json.dumps([run.as_json() for run in found]))
        return
    if not found:
        options.console.print(f"no runs in {folder}; `debate eval smoke` makes one", markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "state", "task", "model", "correct", "written"):
        table.add_column(column, overflow="fold")
    for run in found:
        scores = ", ".join(f"{name} {correct}/{total}" for name, (correct, total) in run.methods.items())
        written = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.changed))
        table.add_row(str(run.path), run.state, run.task, run.model, scores or run.reason, written)
    options.console.print(table, markup=False)
