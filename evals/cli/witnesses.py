"""`debate witnesses`: what a message carries of its sender's belief, on a task whose optimum is known."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

SEEDS, LIMIT = 3, 1000
PAGE, FIGURES = "witnesses.md", "witnesses.json"


@app.command()
def witnesses(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the trainings, runs and tables.")] = Path("runs")
    / "witnesses",
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=1, help=f"Number of training seeds, from 1 (default: {SEEDS}; with --shipped 1)."),
    ] = None,
    worlds: Annotated[
        str | None, typer.Option("--worlds", help="Play only these worlds, separated by commas (default: all).")
    ] = None,
    methods: Annotated[str | None, typer.Option("--methods", help="Play only these methods (default: all).")] = None,
    limit: Annotated[int, typer.Option("--limit", "-L", min=1, help="Number of questions in each world.")] = LIMIT,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Play the shipped models as seed 1, and train other seeds alone.")
    ] = False,
    table: Annotated[bool, typer.Option("--table", help="Make the table from the run folders that are there.")] = False,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of the training.")] = 1,
) -> None:
    """Train witnesses and listeners, play their debates in every world, and print them beside the optimum.

    Example:  debate witnesses --shipped --worlds four_mid --limit 100

    Results are kept: the same command continues.
    """
    import json
    from dataclasses import asdict

    import torch

    from agents.atomic_file import write_atomic
    from agents.model_folder import quiet
    from evals.cli.screen import Screen
    from evals.tasks import evidence
    from evals.witnesses.experiment import play, train_pair
    from evals.witnesses.page import finite, markdown
    from evals.witnesses.table import tabulate

    chosen = options.listed(worlds) or evidence.worlds()
    for world in chosen:
        evidence.load_world(world)
    count = seeds or (1 if shipped else SEEDS)
    for seed in range(1, count + 1) if not table else ():
        models: dict[str, str] = {}
        if not (shipped and seed == 1):
            torch.set_num_threads(threads)
            with quiet():
                models = train_pair(out / f"seed-{seed}", seed, options.progress)
        with Screen() as screen:
            options.run(
                play(
                    out,
                    seed,
                    chosen,
                    models,
                    methods=options.listed(methods),
                    limit=limit,
                    observer=screen,
                    say=options.progress,
                )
            )
    found = tabulate(out)
    write_atomic(out / PAGE, markdown(found))
    write_atomic(out / FIGURES, json.dumps(finite(asdict(found)), indent=1, allow_nan=False) + "\n")
    options.console.print(markdown(found), markup=False, soft_wrap=True)
    options.console.print(f"wrote {out}/{PAGE}, {FIGURES}", markup=False)
