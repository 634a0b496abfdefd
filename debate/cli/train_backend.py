"""`debate train-backend`: train what a belief backend loads, and check what its paper claims, at our size."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

HEADINGS = ("claim", "ours", "baseline", "difference (95 % over seeds)", "asked", "verdict")


@app.command("train-backend")
def train_backend(
    name: Annotated[str, typer.Argument(help="A belief backend; `debate backends` lists them.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the trained models; what is there is not trained again.")
    ],
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Training seeds, from 0.")] = 3,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the data that it is trained on.")] = None,
) -> None:
    """Train a belief backend with several seeds and print its claim table: ours, baseline, interval, pass or null.

    Example:  debate train-backend discrete_functions --out runs/discrete_functions
    """
    from rich.table import Table

    from agents.cards import card
    from agents.claims import table
    from agents.errors import ConfigError

    options.quiet_transformers()
    known = card(name)
    if not known.training:
        raise ConfigError(f"{name} has nothing to train: {known.checkpoint}")
    claims = known.resolve(known.training)(out, seeds=seeds, data=data, progress=options.progress)
    # Not every recipe checks a paper's claim; its progress says what was found.
    if claims:
        shown = Table(title=f"{name}: {known.paper}", title_justify="left")
        for heading in HEADINGS:
            shown.add_column(heading, overflow="fold")
        for row in table(claims):
            shown.add_row(*row)
        options.console.print(shown)
    if known.note:
        options.console.print(known.note, markup=False)
