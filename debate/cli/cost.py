"""`debate cost`: what a model costs before it runs."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debate.cli import options
from debate.cli.app import app

if TYPE_CHECKING:
    from debate.bench.cost import Cost
    from debate.bench.devices import Device


@app.command()
def cost(
    model: options.GivenModel,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            help="Device of the roofline: a100-80gb, h100-sxm, h200, l4, mi300x, rtx-4090, t4, or a YAML file of the same form.",
        ),
    ] = "h100-sxm",
    context: Annotated[int, typer.Option("--context", min=1, help="Positions that a token attends to.")] = 1024,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows decoded in one step (batch size).")] = 1,
    dtype: options.Dtype = "bfloat16",
    as_json: options.Json = False,
) -> None:
    """Show what a model costs: parameters, operations and bytes a token, the least time of a step of text and of CIPHER.

    Example:  debate cost smollm2 --device l4 --rows 16

    The formulas are held against the model's own parameters and the operations that torch counts in its code; where they differ,
    and for kinds of models that they do not cover, it says so and stops.
    """
    from agents.errors import ConfigError
    from agents.model_folder import quiet, read_config
    from agents.pretrained import locate
    from debate.bench.cost import BYTES
    from debate.bench.cost import cost as cost_of
    from debate.bench.devices import device as device_of

    if dtype not in BYTES:
        raise ConfigError(f"--dtype is {', '.join(BYTES)}; got {dtype}")
    on = device_of(device)
    with quiet():
        found = cost_of(read_config(locate(model, progress=options.progress), name=model), model)
    if as_json:
        typer.echo(json.dumps(_figures(found, on, context=context, rows=rows, dtype=dtype)))
        return
    _show(found, on, device, context=context, rows=rows, dtype=dtype)


def _figures(found: "Cost", on: "Device", *, context: int, rows: int, dtype: str) -> dict[str, Any]:
    """Return the figures by name, for scripts."""
    steps = {
        form: found.step(on, context=context, rows=rows, dtype=dtype, cipher=form == "cipher")
        for form in ("text", "cipher")
    }
    return {
        "parameters": found.parameters,
        "operations_a_token": found.operations(context),
        "cipher_operations_a_token": found.cipher_operations,
        "cache_bytes_a_token": found.cache_bytes_a_token(context, dtype),
        "cache_bytes": found.cache_bytes(context, dtype),
        "message_bytes_a_token": found.message_bytes_a_token(dtype),
        "held_bytes": found.held_bytes(context=context, rows=rows, dtype=dtype),
        "steps": {form: {**asdict(step), "seconds": step.seconds, "bound": step.bound} for form, step in steps.items()},
    }


def _show(found: "Cost", on: "Device", name: str, *, context: int, rows: int, dtype: str) -> None:
    """Print the figures as a table, text beside CIPHER where they differ."""
    from rich.table import Table

    from debate.bench.cost import BYTES, COUNTED_TOKENS

    text, cipher = (found.step(on, context=context, rows=rows, dtype=dtype, cipher=form) for form in (False, True))
    operations = found.operations(context)
    held = found.held_bytes(context=context, rows=rows, dtype=dtype)
    cells = [
        ("", "text", "CIPHER"),
        ("parameters", f"{found.parameters:,}", "the same"),
        (f"weights, {dtype}", f"{found.parameters * BYTES[dtype] / 1e6:,.1f} MB", "the same"),
        (
            f"operations a token, after {context:,} positions",
            f"{operations / 1e9:,.3f} G",
            f"{(operations + found.cipher_operations) / 1e9:,.3f} G",
        ),
        ("cache a token", f"{found.cache_bytes_a_token(context, dtype):,} bytes", "the same"),
        (f"cache of {context:,} positions", f"{found.cache_bytes(context, dtype) / 1e6:,.2f} MB a row", "the same"),
        ("message a token", "its id", f"{found.message_bytes_a_token(dtype):,} bytes"),
        (
            f"a step of {rows} on {name}, at least",
            *(f"{1e3 * each.seconds:,.3f} ms, by {each.bound}" for each in (text, cipher)),
        ),
        ("tokens a second, at most", *(f"{rows / each.seconds:,.0f}" for each in (text, cipher))),
        (f"of the {on.memory:g} GB of {name}", f"{held / 1e9:,.2f} GB", "the same"),
    ]
    even = found.weights_read(rows, evenly=True)
    if even != (least := found.weights_read(rows)):
        numbers = " to ".join(f"{each * BYTES[dtype] / 1e6:,.1f} MB" for each in (least, even))
        cells.append((f"weights read by {rows}", numbers, "the same"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    for row in cells:
        grid.add_row(*row)
    options.console.print(grid)
    options.console.print(
        f"Equal to the model's own parameters, and to torch's count of operations for {COUNTED_TOKENS} tokens. "
        f"Device: {on.source}.",
        markup=False,
    )
    if held > on.memory_bytes:
        options.console.print(f"It does not fit: {name} has {on.memory:g} GB of memory.", markup=False)
