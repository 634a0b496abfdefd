"""`debate serve`: a debate as a model, for every client that speaks OpenAI's protocol."""

import gc
import os
from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

TOKEN = "CIPHER_DEBATE_SERVE_TOKEN"  # noqa: S105 - the name of a variable


@app.command()
def serve(
    config: Annotated[list[Path], typer.Argument(help="Config files, or names of shipped ones; each is a model.")],
    host: Annotated[str, typer.Option("--host", help="Address to listen at; beyond loopback only with a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    token: Annotated[
        str | None, typer.Option("--token", help=f"Token that clients send as their api_key (or set {TOKEN}).")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with the token, which other users cannot see there.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Keep each debate as a run in this folder, by its X-Debate-Id.")
    ] = None,
    max_concurrent: options.MaxConcurrent = 32,
    max_queue: Annotated[
        int, typer.Option("--max-queue", min=0, help="Debates that may wait; further ones are answered 429.")
    ] = 128,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds from a request to its answer, waiting included.")
    ] = 600.0,
    drain: Annotated[
        float, typer.Option("--drain", min=1, help="Seconds for requests under way when the server is told to stop.")
    ] = 30.0,
    max_body: Annotated[int, typer.Option("--max-body", min=1, help="Maximum bytes of a request's body.")] = 1_000_000,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", min=1, help="Maximum tokens that all turns of a debate may generate together."),
    ] = None,
    max_rounds: Annotated[
        int | None,
        typer.Option("--max-rounds", min=1, help="Rounds that a request may ask for (default: the config's)."),
    ] = None,
    allow: Annotated[
        str | None,
        typer.Option(
            "--allow",
            help="What requests may change: any of rounds,method,seed,temperature,id, or none (default: all).",
        ),
    ] = None,
    hear_from: Annotated[
        list[str] | None,
        typer.Option(
            "--hear-from",
            metavar="AGENT=KEY",
            help="Hear vectors of debates elsewhere only if signed by this agent's public key; repeatable.",
        ),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Certificate file, for https.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Key file of the certificate.")] = None,
    otel: options.Otel = False,
    settings: options.Set = None,
) -> None:
    """Serve debates as models: any client with an OpenAI base_url asks, the agents debate, one answer comes back.

    Example:

        debate serve debaters/experts --port 8000

        curl http://127.0.0.1:8000/v1/models
    """
    from agents.errors import MissingDependency

    try:
        from debate.serving.server import Listen, serve
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("starlette", "uvicorn", "prometheus_client"):
            raise
        raise MissingDependency("debate serve", missing, "serve") from error
    from agents.model_folder import quiet
    from debate.runtime.observer import Together
    from debate.serving.limits import OVERRIDES, Limits
    from debate.serving.models import configs_of

    overrides = OVERRIDES if allow is None else tuple(name for name in options.listed(allow) if name != "none")
    limits = Limits(
        max_concurrent=max_concurrent,
        max_queue=max_queue,
        timeout_s=timeout,
        max_body=max_body,
        max_tokens=max_tokens,
        max_rounds=max_rounds,
        overrides=overrides,
    )
    listen = Listen(host, port, _token(token, token_file), tls_cert, tls_key, drain)
    configs, keys = configs_of(config, settings or ()), _keys(hear_from or [])

    def ready(url: str, _: object) -> None:
        # The address alone on its line: it is copied, and read by programs.
        typer.echo(url)
        # What was loaded stays: to look through it for garbage would hold up every stream for a tenth of a second.
        gc.collect()
        gc.freeze()
        options.progress("Ctrl-C ends it.")

    with quiet(), options.traced(otel) as observers:
        options.run(
            serve(
                configs,
                listen,
                limits,
                out=out,
                observer=Together(*observers),
                keys=keys,
                progress=options.progress,
                ready=ready,
            )
        )


def _keys(given: list[str]) -> dict[str, str]:
    """Return agent → public key.

    Raises:
        ConfigError: no such pair, or no key.
    """
    from agents.errors import ConfigError
    from agents.signing import public_key

    found: dict[str, str] = {}
    for pair in given:
        agent, equals, key = pair.partition("=")
        if not equals or not agent or agent in found:
            raise ConfigError(
                f"--hear-from {pair[:80]!r}: write AGENT=KEY, each agent once; the key as `debate keys` prints it"
            )
        found[agent] = public_key(key, where=f"--hear-from {agent}")
    return found


def _token(given: str | None, file: Path | None) -> str:
    """Return the token: of the option, the file or the environment; empty where there is none.

    Raises:
        ConfigError: given twice, empty, or in a file that cannot be read.
    """
    from agents.errors import ConfigError

    if given is not None and file is not None:
        raise ConfigError("give --token or --token-file, not both")
    if file is not None:
        try:
            given = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"--token-file {file}: cannot be read: {error}") from error
    if given is None and not (given := os.environ.get(TOKEN, "")):
        return ""
    if not given.strip() or not given.isascii() or not given.isprintable():
        raise ConfigError("the token is empty or has letters that no header holds; make one: openssl rand -hex 24")
    return given.strip()
