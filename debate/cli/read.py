"""`debate read`: a message file, in words."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def read(
    file: Annotated[Path, typer.Argument(help="A message file.")],
    alternatives: Annotated[
        int, typer.Option("--alternatives", "-k", min=0, help="Number of alternatives to show for each belief.")
    ] = 4,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Model whose tokenizer decodes the tokens (default: the sender's)."),
    ] = None,
) -> None:
    """Read a message: nearest tokens, entropy and alternatives, step by step.

    Example:  debate read m.safetensors --alternatives 3
    """
    from rich.table import Table

    from agents.message_file import read_message

    message = read_message(file)
    options.console.print(f"sender       {message.model}", markup=False)
    options.console.print(f"temperature  {message.temperature:g}", markup=False)
    if message.cipher is None:
        options.console.print(f"text         {message.num_tokens} tokens, {message.num_bytes} bytes", markup=False)
        options.console.print(message.text, markup=False)
        return
    cipher = message.cipher
    steps, width = cipher.vectors.shape
    shape = f"[{steps}, {width}] {str(cipher.vectors.dtype).removeprefix('torch.')}"
    options.console.print(f"encoder      {message.encoder}", markup=False)
    options.console.print(f"embeddings   {shape}, {message.num_bytes:,} bytes", markup=False)
    options.console.print(f"reading      {message.text}", markup=False)
    name = _namer(model or message.model.model)
    table = Table(box=None, pad_edge=False)
    for column in ("step", "nearest", "entropy", "max p", f"belief (of {cipher.top_ids.shape[1]} kept)"):
        table.add_column(column, justify="right" if column in ("step", "entropy", "max p") else "left", no_wrap=True)
    for step in range(steps):
        pairs = zip(cipher.top_ids[step].tolist(), cipher.top_probabilities[step].tolist(), strict=True)
        belief = "  ".join(f"{name(token)} {p:.3f}" for token, p in list(pairs)[:alternatives] if p > 0)
        table.add_row(
            str(step),
            name(int(cipher.nearest[step])),
            f"{float(cipher.entropy[step]):.3f}",
            f"{float(cipher.max_probability[step]):.3f}",
            belief,
        )
    options.console.print(table, markup=False)


def _namer(model: str):  # type: ignore[no-untyped-def]
    """Return id → quoted token; the bare id where the tokenizer is not to be had without a download."""
    if model == "mock":
        from agents.backends.mock import ByteTokenizer

        return lambda token: repr(ByteTokenizer().decode([token]))
    from agents.errors import ModelError
    from agents.pretrained import locate

    try:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(locate(model, progress=options.progress))
    except ModelError as error:
        options.progress(f"tokens are shown as ids: {error}")
        return lambda token: f"<{token}>"
    return lambda token: repr(tokenizer.decode([token]))
