"""`debate copies`: what transformed copies of a model believe, answer, and say to a partner."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app

SEEDS, LIMIT = 3, 200
PAGE, FIGURES = "copies.md", "copies.json"


@app.command()
def copies(
    config: options.Config = Path("transforms/dee"),
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the runs and the table.")] = Path("runs")
    / "copies",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of calibration seeds, from 0.")] = SEEDS,
    methods: Annotated[
        str | None, typer.Option("--methods", help="Play only these rows, separated by commas (default: all).")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-L", min=1, help="Number of questions.")] = LIMIT,
    texts: Annotated[
        Path | None,
        typer.Option("--texts", help="Texts to compare beliefs on (default: the tiny debaters' held-out solutions)."),
    ] = None,
    num_texts: Annotated[
        int, typer.Option("--num-texts", min=1, help="Number of the held-out solutions (without --texts).")
    ] = 200,
    model: options.Model = None,
) -> None:
    """Play a config's transformed copies beside the model itself, and measure how far their beliefs drift.

    Example:  debate copies transforms/dee --limit 100 --seeds 1

    Rows `single-COPY`, `text-COPY` and `cipher-COPY` are compared with `single`, `text` and `cipher`. Results are kept: the same
    command continues.
    """
    import json
    from dataclasses import asdict

    from agents.atomic_file import write_atomic
    from agents.model_folder import quiet
    from evals.cli.screen import Screen
    from evals.copies.drift import scored_texts
    from evals.copies.experiment import config_of_seed, play
    from evals.copies.table import markdown, tabulate

    played, _ = config_of_seed(config, 0, model)
    scored = scored_texts(played.model, texts, options.progress, num_texts)
    with Screen() as screen:
        options.run(
            play(
                config, out, seeds, model=model, methods=options.listed(methods), limit=limit, observer=screen,
                say=options.progress,
            )
        )  # fmt: skip
    with quiet():
        found = tabulate(out, scored, options.progress)
    write_atomic(out / PAGE, markdown(found))
    write_atomic(out / FIGURES, json.dumps(asdict(found), indent=1) + "\n")
    options.console.print(markdown(found), markup=False, soft_wrap=True)
    options.console.print(f"wrote {out}/{PAGE}, {FIGURES}", markup=False)
