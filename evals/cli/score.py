"""`debate score`: responses that are there already, scored."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app
from evals.cli import own_questions


@app.command()
def score(
    file: Annotated[
        Path,
        typer.Argument(
            help='File of JSON lines {"target": …, "response": …}, with id and options if the task needs them.'
        ),
    ],
    task: Annotated[
        str,
        typer.Option(
            "--task", "-t", help="Task whose rules read and score the answers, e.g. gsm8k or mmlu:formal_logic."
        ),
    ],
    output_path: Annotated[
        Path | None,
        typer.Option("--output_path", "-o", help="Also write the verdicts to this file, one JSON line each."),
    ] = None,
    scoring: own_questions.Scoring = None,
    seed: options.Seed = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Split that the ids belong to (only for generated tasks).")
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.999, help="Confidence level for intervals.")
    ] = 0.95,
) -> None:
    """Score responses made anywhere, by the task's strict form and leniently.

    Example:  debate score --task gsm8k responses.jsonl -o verdicts.jsonl

    Strict takes the form that the task asks for at the end of a response, flexible the answer wherever it stands. Responses
    without an answer are counted apart; intervals are Wilson's.
    """
    from rich.table import Table

    from agents.errors import ConfigError
    from evals.analysis.stats import wilson
    from evals.responses import READINGS, VALUES, Tally, score_file, write_verdicts
    from evals.task import create_task

    if scoring is not None and task != "file":
        raise ConfigError(f"--scoring goes with --task file; {task} knows how its answers are compared")
    task = f"file:{scoring}" if scoring else task
    verdicts = score_file(create_task(task, seed=seed or 0, split=split), file)
    if output_path is not None:
        write_verdicts(verdicts, output_path)
    tally = Tally.of(verdicts)
    table = Table(title=f"{task}: {tally.rows_in} responses", title_justify="left")
    table.add_column("reading")
    for heading in ("accuracy", f"{confidence:.0%} interval", *VALUES):
        table.add_column(heading, justify="right")
    for reading in READINGS:
        counts = tally.counts[reading]
        interval = wilson(counts["correct"], tally.rows_in, confidence)
        table.add_row(
            reading,
            f"{counts['correct'] / tally.rows_in:.1%}",
            f"{interval.low:.1%} to {interval.high:.1%}",
            *(str(counts[value]) for value in VALUES),
        )
    options.console.print(table)
    if output_path is not None:
        options.console.print(f"verdicts: {output_path}", markup=False)
