"""`debate axes`: which axes the tensors of an operator have, as a table and as a circuit diagram."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli.app import app


@app.command()
def axes(
    operator: Annotated[
        str | None,
        typer.Argument(help="An operator, e.g. expected_embedding, encoder:topk or belief:in_context (default: all)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write: .svg for circuit diagrams, .md for the table.")
    ] = None,
) -> None:
    """Show the axes of the public operators: kernels, encoders and belief backends.

    Example:  debate axes expected_embedding

    Example:  debate axes --out axes.svg

    Axes that are carried past an operator are those whose laws it keeps: each index alone gives what the batch gives. All
    encoders have one signature, and so have the belief backends that look at one kind of thing.
    """
    from agents.errors import ConfigError
    from debate.axes.declared import distinct, operators, table
    from debate.axes.declared import operator as find
    from debate.axes.drawing import drawing

    chosen = distinct(list(operators().values())) if operator is None else [find(operator)]
    if out is None:
        typer.echo(table(chosen), nl=False)
        return
    if out.suffix not in (".svg", ".md"):
        raise ConfigError(f"--out is a file .svg or .md; got {out}")
    text = table(chosen) if out.suffix == ".md" else drawing(chosen)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
