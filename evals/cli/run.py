"""`debate run`: one debate to watch."""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app
from evals.cli import dry_run as rehearsal
from evals.cli import own_questions

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
    temperature: Annotated[
        list[str] | None,
        typer.Option(
            "--temperature",
            "-T",
            metavar="[AGENT=]T",
            help="Temperature of all agents or of one; 0 means greedy; repeatable.",
        ),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option("--prompts", help="Prompt files of all agents: a name under configs/prompts, or a folder."),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role", metavar="[AGENT=]ROLE", help="Role of all agents or of one, e.g. ben=critic; repeatable."
        ),
    ] = None,
    limit: options.Limit = None,
    model: options.Model = None,
    seed: options.Seed = None,
    data: options.Data = None,
    columns: own_questions.Columns = None,
    scoring: own_questions.Scoring = None,
    dry_run: rehearsal.DryRun = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to keep the run in.")] = None,
    overwrite: options.Overwrite = False,
    view: Annotated[
        bool,
        typer.Option(
            "--view", help="Watch it in the browser, where messages grow word by word (needs the extra view)."
        ),
    ] = False,
    runtime: options.Runtime = None,
    ray_address: options.RayAddress = None,
    allow_huge: options.AllowHuge = False,
    sign_with: options.SignWith = None,
    settings: options.Set = None,
) -> None:
    """Watch a debate: who speaks, in which round, what each message reads as, and the decision.

    Examples:

        debate run "What is the result of 3+4*5+6-2*7?"

        debate run --task arithmetic --limit 2 --message text

        debate run "Is 91 a prime?" --prompts open --role ben=critic --temperature ada=0.2
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
    extra += [*options.execution(runtime, ray_address, allow_huge, sign_with), *own_questions.named_columns(columns)]
    chosen = config or default_config(question, task, model)
    extra += options.of_agents(chosen, settings, "temperature", temperature)
    extra += options.of_agents(chosen, settings, "role", role)
    if prompts is not None:
        extra.append(f"prompts={prompts}")
        extra += options.of_agents(chosen, settings, "prompts", ["null"])
    loaded = own_questions.scored(options.load(chosen, settings, model, seed, *extra), scoring)
    if dry_run:
        from evals.evaluation import Selection

        rows = {loaded.message: loaded}
        if question is not None:
            refused = rehearsal.rehearse_rows(rows, [question])
        else:
            refused = rehearsal.dry_run(loaded, rows, Selection(limit=limit or 1, data=data))
        raise typer.Exit(2 if refused else 0)
    if not (question and SUM.search(question)) and (remark := own_questions.mock_remark(loaded)):
        options.progress(remark)
    if view:
        from evals.cli.view import watching

        with run_folder_of(out) as folder:
            options.run(watch(loaded, question, limit or 1, data, folder, overwrite, on_folder=watching))
        return
    options.run(watch(loaded, question, limit or 1, data, out, overwrite))


@contextlib.contextmanager
def run_folder_of(out: Path | None) -> Iterator[Path]:
    """Yield the folder that a run is kept in: the one given, or one that is gone when the page is closed."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="debate-") as folder:
        yield Path(folder) / "debate"


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
