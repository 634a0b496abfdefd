"""`debate speak`: one agent, one prompt, one message."""

import hashlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debate.cli import options
from debate.cli.app import app

if TYPE_CHECKING:
    from agents.signature import Place


@app.command()
def speak(
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="Prompt for the model.")],
    model: options.OneModel = "smollm2",
    backend: Annotated[str, typer.Option("--backend", help="Name of a registered backend.")] = "transformers",
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder",
            "-e",
            help="Rule that turns beliefs into vectors: expectation, topk(k=5), topp(p=0.9), token, …; or text.",
        ),
    ] = "expectation",
    temperature: Annotated[float, typer.Option("--temperature", "-T", help="Temperature; 0 means greedy.")] = 1.0,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Maximum tokens to generate.")] = 64,
    dtype: options.Dtype = "bfloat16",
    top_beliefs: Annotated[
        int, typer.Option("--top-beliefs", help="Number of most probable tokens to keep of each belief.")
    ] = 8,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", help="Text that ends the message where it begins; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Random seed.")] = 0,
    form: Annotated[str, typer.Option("--format", help="Prompt format: chat, plain or auto.")] = "auto",
    hear: Annotated[
        list[Path] | None, typer.Option("--hear", help="Message file to append to the prompt; repeatable.")
    ] = None,
    set_options: Annotated[
        list[str] | None,
        typer.Option(
            "--option", metavar="KEY=VALUE", help="Backend option KEY=VALUE; repeatable, e.g. base_url=http://…/v1."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the message to this file.")] = None,
    sign_with: Annotated[
        str | None,
        typer.Option(
            "--sign-with",
            metavar="FILE",
            help="Private key that the message's file is signed with, as `debate keys` makes it; none for no key.",
        ),
    ] = None,
) -> None:
    """Let one model speak: write its message, and print how it reads.

    Example:  debate speak --prompt "Name a colour." --temperature 0.7 --max-tokens 32 --out m.safetensors

    Then:     debate read m.safetensors
    """
    options.run(
        _speak(
            prompt,
            model,
            backend,
            encoder,
            temperature,
            max_tokens,
            dtype,
            top_beliefs,
            stop,
            seed,
            form,
            hear,
            options.backend_options(set_options),
            out,
            sign_with,
        )
    )


async def _speak(
    prompt: str,
    model: str,
    backend: str,
    encoder: str,
    temperature: float,
    max_tokens: int,
    dtype: str,
    top_beliefs: int,
    stop: list[str] | None,
    seed: int,
    form: str,
    hear: list[Path] | None,
    backend_options: dict[str, Any],
    out: Path | None,
    sign_with: str | None,
) -> None:
    from agents.backend import ChatTurn, Part, Prompt, Request, Sampling
    from agents.errors import ConfigError
    from agents.message_file import read_message, write_message
    from agents.registry import create_backend
    from debate.run_folder.signing import signing_key

    if sign_with is not None and out is None:
        raise ConfigError("--sign-with signs the file of a message; name one with --out")
    # Before anything is paid for.
    key = None if out is None else signing_key(sign_with)
    if form not in ("auto", "chat", "plain"):
        raise ConfigError(f"--format {form!r}: choose auto, chat or plain")
    sampling = Sampling(
        temperature=temperature, max_tokens=max_tokens, stop=tuple(stop or ()), seed=seed, top_beliefs=top_beliefs
    )
    given = {"dtype": dtype, "max_num_seqs": 1, **backend_options}
    engine = create_backend(backend, model=model, progress=options.progress, **given)
    try:
        parts: list[Part] = [prompt]
        for path in hear or []:
            # To a backend without vectors a message is its reading, whoever's it is.
            receiver = engine.fingerprint if engine.capabilities.vectors_in else None
            parts += ["\n", read_message(path, receiver=receiver)]
        asked = Prompt((ChatTurn("user", tuple(parts)),), format=form)  # type: ignore[arg-type]
        pending = engine.submit(Request(asked, sampling, None if encoder == "text" else encoder))
        async for piece in pending:
            options.console.print(piece, end="", markup=False, soft_wrap=True)
        options.console.print()
        generation = await pending
    finally:
        await engine.close()
    message = generation.message
    kind = f"{message.encoder}, {message.num_bytes:,} bytes of vectors" if message.is_cipher else "text"
    options.progress(
        f"{message.num_tokens or generation.usage.generated_tokens} steps ({generation.finish_reason}), {kind}, {message.model}"
    )
    if out is not None:
        signature = None if key is None else key.sign_message(message, _place(prompt, model))
        write_message(message, out, signature)
        options.progress(f"written to {out}" + ("" if signature is None else f", signed by {signature.key}"))


def _place(prompt: str, model: str) -> "Place":
    """Return where a message is said that is of no run: by the model, to the prompt, once."""
    from agents.signature import LONGEST_NAME, Place

    question = "prompt-" + hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Place(run=secrets.token_hex(16), debate="speak", question=question, round=1, agent=model[:LONGEST_NAME])
