"""`debate backends`: what agents can be made of."""

from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command("backends")
def backends(
    name: Annotated[str | None, typer.Argument(help="Show only this belief backend.")] = None,
) -> None:
    """List the backends, for language models and for models with a belief over labels: what is installed and what is missing.

    Example:  debate backends

    Example:  debate backends kalm
    """
    from rich.table import Table

    from agents.beliefs.cards import card, cards
    from agents.registry import names

    def shown(title: str, rows: list[tuple[str, str]]) -> None:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for heading, words in rows:
            grid.add_row(f"  {heading}", words)
        options.console.print(title, style="bold", markup=False)
        options.console.print(grid)

    if name is None:
        shown("language models (backend: NAME)", list(names().items()))
        options.console.print("\nbeliefs over labels (agents.NAME.backend)\n", markup=False)
    for known in cards() if name is None else [card(name)]:
        missing = f"no: needs {', '.join(known.missing)}: pip install 'cipher-debate[{known.extra}]'"
        rows = [
            ("paper", known.paper),
            ("looks at", known.modality),
            ("message", known.message),
            ("checkpoint", known.checkpoint),
            ("licence", known.licence),
            ("installed", missing if known.missing else "yes"),
        ]
        recipes = "; ".join(f"{recipe} ({paper})" for recipe, paper, _ in known.recipes)
        rows += [(heading, words) for heading, words in (("recipes", recipes), ("note", known.note)) if words]
        shown(known.name, rows)
