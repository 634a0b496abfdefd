"""Options that several commands share, and quiet start-up."""

import contextlib
import os
import re
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from debate.cli import interruption
from debate.cli.consoles import console as console
from debate.cli.consoles import notes as notes

if TYPE_CHECKING:
    from debate.runtime.observer import Observer

T = TypeVar("T")

Config = Annotated[Path, typer.Argument(help="A config file, or the name of a shipped one, e.g. smoke.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY.PATH=VALUE", help="Override one config key; repeatable, e.g. agents.ada.temperature=0.2"
    ),
]
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="Model: smollm2, tiny/NAME, a hub id, or a local folder.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Random seed for questions, sampling and noise.")]
Limit = Annotated[int | None, typer.Option("--limit", "-L", min=1, help="Maximum number of questions.")]
RunFolder = Annotated[Path, typer.Argument(help="A run folder.")]
GivenModel = Annotated[str, typer.Argument(help="Model: smollm2, tiny/NAME, a hub id, or a local folder.")]
OneModel = Annotated[str, typer.Option("--model", "-m", help="Model: smollm2, a hub id, or a local folder.")]
Dtype = Annotated[str, typer.Option("--dtype", help="Data type of the weights: float32, bfloat16 or float16.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete an earlier run in that folder and start again.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
MessageTokens = Annotated[int, typer.Option("--tokens", min=1, help="Maximum tokens of a message.")]
TimedRounds = Annotated[
    int, typer.Option("--rounds", min=1, help="Number of timed rounds, after one that is not counted.")
]
Figures = Annotated[Path | None, typer.Option("--out", "-o", help="Also write the figures as JSON.")]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Local benchmark file or folder, used instead of the hub. With --task file: your questions, or a hub id.",
    ),
]
Runtime = Annotated[
    str | None,
    typer.Option("--runtime", help="Runtime of the engines: local (this process) or ray (a process for each)."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="HOST:PORT of an existing Ray cluster (default: --runtime ray starts one on this machine).",
    ),
]
MaxConcurrent = Annotated[int, typer.Option("--max-concurrent", min=1, help="Debates played at once.")]
Otel = Annotated[
    bool,
    typer.Option(
        "--otel", help="Send traces by OTLP to where OTEL_EXPORTER_OTLP_ENDPOINT says (default: localhost:4318)."
    ),
]
SignWith = Annotated[
    str | None,
    typer.Option(
        "--sign-with",
        metavar="FILE",
        help="Private key that the run and its messages are signed with, as `debate keys` makes it; none for no key.",
    ),
]
AllowHuge = Annotated[
    bool, typer.Option("--allow-huge", help="Allow groups and topologies that are refused for their size.")
]


def execution(
    runtime: str | None, ray_address: str | None, allow_huge: bool = False, sign_with: str | None = None
) -> list[str]:
    """Return the overrides of the options that say how a run is carried out."""
    given = {"runtime": runtime, "ray_address": ray_address, "allow_huge": allow_huge or None, "sign_with": sign_with}
    return [f"execution.{key}={value}" for key, value in given.items() if value is not None]


def load(config: Path, settings: list[str] | None, model: str | None, seed: int | None, *extra: str) -> Any:
    """Return the config of the shared options; options win over --set, --set over the file."""
    from debate.config.load import load_config
    from debate.config.shipped import find_config

    named = [f"{key}={value}" for key, value in (("model", model), ("seed", seed)) if value is not None]
    return load_config(find_config(config), [*(settings or []), *named, *extra])


def of_agents(config: Path, settings: list[str] | None, key: str, given: list[str] | None) -> list[str]:
    """Return the overrides of an option that is for all agents, `VALUE`, or for one, `AGENT=VALUE`."""
    from debate.config.load import read_config
    from debate.config.shipped import find_config

    found: list[str] = []
    for text in given or []:
        agent, equals, value = text.partition("=")
        if equals:
            found.append(f"agents.{agent}.{key}={value}")
        else:
            agents = read_config(find_config(config), settings or ()).get("agents") or {}
            found += [f"agents.{name}.{key}={text}" for name in agents]
    return found


def backend_options(given: list[str] | None) -> dict[str, Any]:
    """Return the options of a backend from KEY=VALUE pairs, the values read as YAML.

    Raises:
        ConfigError: no such pair; or a key of a server, which is not repeated.
    """
    from agents.errors import ConfigError
    from agents.secrets import refuse_secrets
    from agents.yaml_file import parse_yaml

    found: dict[str, Any] = {}
    for pair in given or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--option {key!r}: write KEY=VALUE, e.g. --option max_num_seqs=4")
        found[key] = parse_yaml(value, source=f"--option {key}")
    refuse_secrets(found, where="--option")
    return found


def listed(names: str | None) -> list[str]:
    """Return names separated by commas; those inside parentheses are a name's own."""
    return [name.strip() for name in re.split(r",(?![^(]*\))", names or "") if name.strip()]


@contextlib.contextmanager
def traced(otel: bool) -> "Iterator[list[Observer]]":
    """Yield who sends traces while the block runs; nobody unless it is asked for.

    Raises:
        MissingDependency: the extra is not installed.
    """
    if not otel:
        yield []
        return
    from agents.errors import MissingDependency

    try:
        from debate.interop.otel import tracing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        raise MissingDependency("--otel", "opentelemetry", "otel") from error
    with tracing() as observer:
        yield [observer]


def progress(sentence: str) -> None:
    """Say what takes time."""
    notes.print(f"· {sentence}", markup=False)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end with the libraries' own chatter off. Ctrl-C and `debate cancel` end it; `main` is told."""
    import asyncio

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if "transformers" not in sys.modules:
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():
        # On a terminal it stays unset: a value of 0 would forbid silencing the bars of single steps.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        return asyncio.run(interruption.current.guarded(coroutine))
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        raise interruption.Interrupted from error
