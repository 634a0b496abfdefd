"""`debate search`: temperatures, or any value of a config, on validation questions."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app
from evals.cli import dry_run as rehearsal
from evals.cli import own_questions


@app.command()
def search(
    config: options.Config,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Task to search on (default: the config's).")] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary", help="KEY.PATH=LOW:HIGH or KEY.PATH=A|B; may be repeated. Default: agents' temperatures."
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="Method to search for (default: the config's message).")
    ] = None,
    trials: Annotated[int, typer.Option("--trials", min=1, help="Total trials, including earlier sessions.")] = 30,
    sampler: Annotated[
        str,
        typer.Option(
            "--sampler",
            help="Sampler: tpe, gp, random, grid (all combinations of --vary KEY.PATH=A|B) or paper (the paper's temperatures).",
        ),
    ] = "tpe",
    prune: Annotated[bool, typer.Option("--prune/--no-prune", help="Stop trials that fall behind.")] = True,
    split: Annotated[
        str | None, typer.Option("--split", help="Split to search on (default: the task's validation split).")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-L", min=1, help="Maximum number of questions in each of the two sets.")
    ] = 200,
    model: options.Model = None,
    seed: options.Seed = None,
    data: options.Data = None,
    columns: own_questions.Columns = None,
    scoring: own_questions.Scoring = None,
    dry_run: rehearsal.DryRun = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the search (default: runs/CONFIG-search).")
    ] = None,
    runtime: options.Runtime = None,
    ray_address: options.RayAddress = None,
    settings: options.Set = None,
) -> None:
    """Search temperatures on validation questions, then test the winner once on questions that the search never saw.

    Example:  debate search cipher_vs_text --trials 30 --limit 200 --vary agents.ada.temperature=0.01:2

    The same command continues an interrupted search. Searching on the test split is refused.
    """
    from evals.analysis.derived import derived
    from evals.cli.table import show_analysis
    from evals.evaluation import Selection
    from evals.outputs import analyse_run
    from evals.search.page import write_search_page
    from evals.search.parameters import parse_parameter
    from evals.search.search import search as run_search

    extra = [*options.execution(runtime, ray_address), *own_questions.named_columns(columns)]
    extra += [f"task={task}"] if task else []
    loaded = own_questions.scored(options.load(config, settings, model, seed, *extra), scoring)
    parameters = [parse_parameter(text) for text in vary or ()]
    if dry_run:
        chosen = Selection(limit=limit, data=data, split=split)
        refused = rehearsal.dry_run(loaded, [method or loaded.message], chosen, trials=trials)
        raise typer.Exit(2 if refused else 0)
    folder = out or Path("runs") / f"{config.stem}-search"
    found = options.run(
        run_search(
            loaded,
            out=folder,
            parameters=parameters,
            method=method or "",
            trials=trials,
            sampler=sampler,
            prune=prune,
            selection=Selection(limit=limit, data=data),
            split=split,
            progress=options.progress,
        )
    )
    options.console.print(
        f"winner of {len(found.trials)} trials, on questions that the search never saw:", markup=False
    )
    show_analysis(analyse_run(folder / "test"))
    with derived(f"{folder}: the page of the search", options.progress):
        options.console.print(f"report: {write_search_page(found, folder)}", markup=False)
