"""`debate export`: a run in the form of another program."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

FORMS = ("inspect",)
ENDING = ".eval"


@app.command()
def export(
    run: options.RunFolder,
    out: Annotated[Path, typer.Argument(help="File ending in .eval, or a folder for one file a method.")],
    to: Annotated[str, typer.Option("--to", help="Form of the file: inspect (a log that `inspect view` opens).")] = (
        "inspect"
    ),
    method: Annotated[str | None, typer.Option("--method", help="Only this method (default: all).")] = None,
) -> None:
    """Write a run as logs of Inspect, by Inspect's own API: one a method, with a span for each round and agent.

    Example:

        debate export runs/first logs --to inspect
    """
    from agents.errors import ConfigError, MissingDependency, RunError
    from debate.run_folder.reader import RunReader
    from kernels.names import did_you_mean

    if to not in FORMS:
        raise ConfigError(f"--to {to!r}: choose {' or '.join(FORMS)}")
    try:
        from debate.interop.inspect_log import write_log
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "inspect_ai":
            raise
        raise MissingDependency("debate export --to inspect", "inspect_ai", "inspect") from error
    reader = RunReader(run)
    methods = [name for name in reader.methods if method in (None, name)]
    if not methods:
        known = ", ".join(reader.methods) or "none"
        raise RunError(f"{run} has no method {method!r}. It has: {known}.{did_you_mean(method or '', reader.methods)}")
    is_file = out.suffix == ENDING
    if is_file and len(methods) > 1:
        raise ConfigError(
            f"{out} is one file, and {run} has {', '.join(methods)}: name one with --method, or give a folder"
        )
    for name in methods:
        path = out if is_file else out / f"{name}{ENDING}"
        options.console.print(f"wrote {write_log(reader, name, path)}", markup=False)
