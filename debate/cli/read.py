"""`debate read`: a message file, in words."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debate.cli import options
from debate.cli.app import app

if TYPE_CHECKING:
    from agents.fingerprint import ModelFingerprint


@app.command()
def read(
    file: Annotated[Path, typer.Argument(help="A message file.")],
    alternatives: Annotated[
        int, typer.Option("--alternatives", "-k", min=0, help="Number of alternatives to show for each belief.")
    ] = 4,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Model whose tokenizer decodes the tokens (default: the sender's, if it was fetched before).",
        ),
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
    name = _namer(message.model, model)
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


def _namer(sender: "ModelFingerprint", named: str | None) -> Callable[[int], str]:
    """Return id → quoted token; the bare id where the tokenizer is not to be had.

    Args:
        sender: the message's, whose name anybody may have written: it is looked up among what is here, never fetched.
        named: the model that the user names; it is found as a debate finds it.

    Raises:
        ModelError: it is not found, or has another tokenizer.
    """
    from agents.byte_tokens import ByteTokenizer
    from agents.errors import ModelError
    from agents.fingerprint import tokenizer_hash
    from agents.model_folder import read_tokenizer
    from agents.pretrained import THEN, here, locate

    wanted = sender.model if named is None else named
    tokenizer: Any = None
    if wanted == "mock":
        tokenizer = ByteTokenizer()
    elif named is not None:
        tokenizer = read_tokenizer(locate(named, progress=options.progress), name=named)
    elif (folder := here(wanted.partition(THEN)[0].strip())) is not None:
        tokenizer = read_tokenizer(folder, name=wanted)
    if tokenizer is None:
        options.progress(
            f"tokens are shown as ids: {wanted} is not among the models fetched before; name it with --model"
        )
        return lambda token: f"<{token}>"
    if tokenizer_hash(tokenizer) != sender.tokenizer:
        if named is not None:
            raise ModelError(f"the tokenizer of {named} is not the sender's: it would show other words than were said")
        options.progress(
            f"tokens are shown as ids: the model called {wanted} here has another tokenizer than the sender's"
        )
        return lambda token: f"<{token}>"
    return lambda token: repr(tokenizer.decode([token]))
