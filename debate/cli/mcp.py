"""`debate mcp`: debates as tools of assistants that speak the Model Context Protocol."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def mcp(
    config: Annotated[list[Path], typer.Argument(help="Config files, or names of shipped ones.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Keep each debate as a run in this folder, by its id.")
    ] = None,
    max_concurrent: options.MaxConcurrent = 8,
    settings: options.Set = None,
) -> None:
    """Offer debates as tools over standard input and output, to an assistant that starts this command.

    The tools are `debate(question, config, rounds)`, with progress for each turn, and `show_debate(id)`.

    Example:

        debate mcp debaters/experts
    """
    from agents.errors import MissingDependency

    try:
        from debate.interop.mcp_server import server_of
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise MissingDependency("debate mcp", "mcp", "mcp") from error
    from agents.model_folder import quiet
    from debate.serving.local import LocalModels
    from debate.serving.models import configs_of

    # Standard output is the protocol's; what is said goes to standard error, as `options.progress` says it.
    with (
        quiet(),
        LocalModels(
            configs_of(config, settings or ()), concurrent=max_concurrent, out=out, progress=options.progress
        ) as models,
    ):
        options.run(server_of(models).run_stdio_async())
