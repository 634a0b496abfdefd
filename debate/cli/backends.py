"""`debate backends`: what agents can be made of."""

from debate.cli import options
from debate.cli.app import app


@app.command("backends")
def backends() -> None:
    """List the backends: language models, and what holds a belief over labels; what is installed, and what is missing.

    Example:  debate backends
    """
    from rich.table import Table

    from agents.cards import cards
    from agents.registry import names

    engines = Table(title="language models: backend: NAME", title_justify="left")
    for heading in ("backend", "class"):
        engines.add_column(heading, overflow="fold")
    for name, path in names().items():
        engines.add_row(name, path)
    options.console.print(engines)
    believers = Table(title="beliefs over labels: agents.NAME.backend", title_justify="left", show_lines=True)
    for heading in ("backend", "paper", "looks at", "message", "checkpoint", "licence", "installed"):
        believers.add_column(heading, overflow="fold", no_wrap=heading == "backend")
    notes = []
    for card in cards():
        installed = f"no: needs {', '.join(card.missing)} (extra {card.extra})" if card.missing else "yes"
        believers.add_row(card.name, card.paper, card.modality, card.message, card.checkpoint, card.licence, installed)
        notes += [f"{card.name}: {card.note}"] if card.note else []
    options.console.print(believers)
    for note in notes:
        options.console.print(note, markup=False)
