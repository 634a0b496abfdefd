"""`debate run`: one debate to watch."""

import re
from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

# Numbers joined by signs, as the tiny debaters were taught.
SUM = re.compile(r"\d+(\s*[-+*]\s*\d+){2,}")


@app.command()
def run(
    question: Annotated[str | None, typer.Argument(help="Question to debate; or give --task.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="A config file, or the name of a shipped one. By default debaters/experts for sums, first_debate (SmolLM2) "
            "for everything else.",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="Task whose questions are debated and scored.")
    ] = None,
    message: Annotated[
        str | None, typer.Option("--message", help="What agents send each other: text or cipher.")
    ] = None,
    limit: options.Limit = None,
    model: options.Model = None,
    seed: options.Seed = None,
    data: options.Data = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to keep the run in.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier run in that folder and start again.")
    ] = False,
    runtime: options.Runtime = None,
    ray_address: options.RayAddress = None,
    allow_huge: options.AllowHuge = False,
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

    if question is not None and not question.strip():
        raise ConfigError("the question is empty; write what is to be debated, or give --task")
    if (question is None) == (task is None and limit is None):
        raise ConfigError("give either a question or --task, e.g. debate run --task arithmetic --limit 1")
    extra = [f"message={message}"] if message else []
    if task:
        extra.append(f"task={task}")
    extra += options.execution(runtime, ray_address, allow_huge)
    loaded = options.load(config or default_config(question, task, model), settings, model, seed, *extra)
    options.run(watch(loaded, question, limit or 1, data, out, overwrite))


def default_config(question: str | None, task: str | None, model: str | None) -> Path:
    """Return who debates where nobody says: debaters that can add for a sum, else a small model that tries anything."""
    is_sum = SUM.search(question) if question is not None else (task or "").partition(":")[0] == "arithmetic"
    if is_sum and model is None:
        return Path("debaters/experts")
    if model is None:
        options.progress(
            "SmolLM2 debates this: a general model of 135 million parameters, which is often wrong. Name another with --model"
        )
    return Path("first_debate")
