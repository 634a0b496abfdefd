"""`debate tasks`: what can be evaluated."""

from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command("tasks")
def tasks(
    name: Annotated[str | None, typer.Argument(help="Task whose variants are listed, e.g. mmlu.")] = None,
) -> None:
    """List the tasks: kind, splits, where the data are from, licence, and whether --data is needed.

    Example:  debate tasks          debate tasks reasoning_gym
    """
    from rich.table import Table

    from agents.errors import DebateError, MissingDependency, UnknownName
    from evals.task import task_classes

    found = task_classes()
    if name is not None:
        if name not in found:
            raise UnknownName("task", name, found)
        made = found[name]
        if isinstance(made, MissingDependency):
            raise made
        for variant in made.variants() or ():
            options.console.print(f"{name}:{variant}", markup=False)
        if not made.variants():
            options.console.print(f"{name} has no variants", markup=False)
        return
    table = Table(show_lines=False)
    for heading in ("task", "kind", "splits", "source", "licence", "needs"):
        table.add_column(heading, overflow="fold")
    for task, made in found.items():
        if isinstance(made, MissingDependency):
            table.add_row(task, "", "", "", "", f"the package {made.package}")
            continue
        try:
            count = len(made.variants())
            needs = "--data" if made.info.needs_data else ""
        except DebateError as error:
            count, needs = 0, str(error)
        info = made.info
        label = f"{task}:… ({count})" if count else task
        table.add_row(label, info.kind, ", ".join(info.splits), info.source, info.licence, needs)
    options.console.print(table)
    options.console.print("Variants of one task: debate tasks NAME. A row's form: docs/tasks.md.", markup=False)
