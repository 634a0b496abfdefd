"""`debate eval`: methods over the same questions, scored."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command("eval")
def evaluate(
    config: options.Config,
    task: Annotated[str | None, typer.Option("--task", "-t", help="arithmetic, gsm8k, or a dotted path.")] = None,
    methods: Annotated[str | None, typer.Option("--methods", help="Rows of the table, e.g. single,cipher.")] = None,
    limit: options.Limit = None,
    model: options.Model = None,
    seed: options.Seed = None,
    data: options.Data = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run folder; runs/CONFIG by default.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier run there and start again.")
    ] = False,
    settings: options.Set = None,
) -> None:
    """Score a single answer, a text debate and a CIPHER debate over the same questions.

    Example:  debate eval configs/first_debate.yaml --limit 8 --out runs/first

    Everything is written to the run folder as it happens; read it with `debate show`. After Ctrl-C or a crash the same
    command goes on where it was: no turn is taken twice.
    """
    from debate.cli.screen import Screen, results_table
    from evals.evaluate import evaluate as run_evaluation

    extra = [f"task={task}"] if task else []
    loaded = options.load(config, settings, model, seed, *extra)
    folder = out or Path("runs") / config.stem
    with Screen() as screen:
        rows = options.run(
            run_evaluation(
                loaded,
                out=folder,
                methods=methods.split(",") if methods else (),
                limit=limit,
                data=data,
                overwrite=overwrite,
                observer=screen,
                progress=options.progress,
            )
        )
    options.console.print(results_table(rows, loaded.task))
    options.console.print(
        f"model {loaded.model}, {loaded.dtype}, backend {loaded.backend}, seed {loaded.seed}", markup=False
    )
    if any(row.total < 100 for row in rows):
        options.console.print(
            "With so few questions the rows are not distinguishable: this shows that it runs, not who wins."
        )
    options.console.print(f"transcripts: {folder}  (debate show {folder})", markup=False)
