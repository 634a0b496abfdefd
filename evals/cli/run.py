"""`debate run`: one debate to watch."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def run(
    question: Annotated[str | None, typer.Argument(help="What to debate; or give --task.")] = None,
    config: Annotated[Path, typer.Option("--config", "-c", help="A config file, or the name of a shipped one.")] = Path(
        "first_debate"
    ),
    task: Annotated[str | None, typer.Option("--task", "-t", help="Debate questions of a task and score them.")] = None,
    message: Annotated[str | None, typer.Option("--message", help="text or cipher.")] = None,
    limit: options.Limit = None,
    model: options.Model = None,
    seed: options.Seed = None,
    data: options.Data = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also keep the run in this folder.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier run there and start again.")
    ] = False,
    runtime: options.Runtime = None,
    ray_address: options.RayAddress = None,
    settings: options.Set = None,
) -> None:
    """Watch a debate: who speaks, in which round, what each message reads as, and the decision.

    Examples:

        debate run "What is the result of 3+4*5+6-2*7?"

        debate run --task arithmetic --limit 2 --message text

        debate run "Is 91 a prime?" --set prompts=open --config smoke
    """
    from agents.errors import ConfigError
    from evals.cli.playing import watch

    if (question is None) == (task is None and limit is None):
        raise ConfigError("give either a question or --task, e.g. debate run --task arithmetic --limit 1")
    extra = [f"message={message}"] if message else []
    if task:
        extra.append(f"task={task}")
    extra += options.execution(runtime, ray_address)
    loaded = options.load(config, settings, model, seed, *extra)
    options.run(watch(loaded, question, limit or 1, data, out, overwrite))
