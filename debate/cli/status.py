"""`debate status` and `debate cancel`: a run that is under way, seen and stopped from another terminal."""

import json
import shlex
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def status(run: options.RunFolder, as_json: options.Json = False) -> None:
    """Show how far a run is: questions, rates, failures, and what each engine did. It may be running elsewhere.

    Example:  debate status runs/first
    """
    from rich.table import Table

    from debate.run_folder.status import status_of

    found = status_of(run)
    out = options.console
    if as_json:
        typer.echo(json.dumps(found.as_json()))
        return
    reason = f" ({found.reason})" if found.reason else ""
    left = f", about {found.seconds_left:.0f} s left" if found.seconds_left is not None else ""
    out.print(f"{run}: {found.state}{reason}, session {found.sessions}", markup=False)
    out.print(f"{found.turns_per_s:.1f} turns/s, {found.tokens_per_s:.0f} tokens/s{left}", markup=False)
    table = Table(box=None, pad_edge=False)
    for column in ("method", "questions", "correct", "failed", "turns", "tokens"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in found.methods.values():
        counts = (f"{row.total}/{row.asked}", row.correct, row.failed, row.turns, f"{row.generated_tokens:,}")
        table.add_row(row.method, *map(str, counts))
    out.print(table, markup=False)
    engines = Table(box=None, pad_edge=False)
    for column in ("engine", "turns", "tokens", "s a turn", "faults"):
        engines.add_column(column, justify="left" if column == "engine" else "right")
    for name, engine in found.engines.items():
        mean = engine.seconds / engine.turns if engine.turns else 0.0
        numbers = (str(engine.turns), f"{engine.generated_tokens:,}", f"{mean:.3f}", str(engine.faults))
        engines.add_row(name, *numbers)
    out.print(engines, markup=False)


@app.command()
def cancel(
    run: options.RunFolder,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Maximum seconds to wait for the run to stop.")] = 30.0,
) -> None:
    """Stop a run started in another terminal, as Ctrl-C would: what was finished is kept, the same command continues.

    Example:  debate cancel runs/first
    """
    from debate.run_folder.cancel import cancel as ask

    if ask(run, wait):
        options.console.print(f"{run} has stopped", markup=False)
    else:
        command = f"debate status {shlex.quote(str(run))}"
        options.console.print(f"{run} was asked to stop and is still stopping; `{command}` tells", markup=False)
        raise typer.Exit(1)
