"""`debate cost`: what a model costs before it runs."""

from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def cost(
    model: options.GivenModel,
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
