"""`debate reproduce`: the paper's experiments, at any scale."""

from pathlib import Path
from typing import Annotated, Any

import typer

from debate.cli import options
from debate.cli.app import app


@app.command()
def reproduce(
    experiment: Annotated[
        str,
        typer.Argument(
            help="Experiment: table1, table2, rounds, debaters, temperature, partial, bounds, encoders, controls, diversity, "
            "minds, reduction; or a file."
        ),
    ],
    model: options.Model = None,
    limit: Annotated[
        int, typer.Option("--limit", "-L", min=1, help="Maximum number of questions per task; the paper used 200.")
    ] = 200,
    tasks: Annotated[str | None, typer.Option("--tasks", "-t", help="Run only these tasks of the experiment.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of benchmark files, e.g. with gsm8k/ and mmlu/ in it.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Number of trials of the temperature search.")
    ] = None,
    second_model: Annotated[
        str | None,
        typer.Option("--second-model", help="Model of the second debater, for table2 (default: the same model)."),
    ] = None,
    seed: options.Seed = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the results (default: runs/reproduce-EXPERIMENT).")
    ] = None,
    runtime: options.Runtime = None,
    ray_address: options.RayAddress = None,
    settings: options.Set = None,
) -> None:
    """Run one of the paper's experiments and print our figures beside the paper's, with intervals and caveats.

    Example:  debate reproduce table1 --model smollm2 --limit 3

    With the paper's model, on a machine that can hold it, the same command runs the paper's experiment. Results are kept: the
    same command continues.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from agents.errors import ConfigError
    from agents.yaml_file import parse_yaml
    from evals.cli.effects import show_effects
    from evals.cli.screen import Screen
    from evals.experiment import load_experiment
    from evals.reproduce import reproduce as run_experiment
    from evals.reproduction import cells, ending_cells

    shared = load_experiment(experiment).debate
    overrides: dict[str, Any] = {key: value for key, value in (("model", model), ("seed", seed)) if value is not None}
    for setting in settings or ():
        key, equals, text = setting.partition("=")
        if not equals or "." in key:
            raise ConfigError(f"--set {setting!r}: an experiment takes whole keys, e.g. backend=mock or max_tokens=64")
        overrides[key] = parse_yaml(text, source=f"--set {setting!r}")
    carried_out = {
        key: value for key, value in (("runtime", runtime), ("ray_address", ray_address)) if value is not None
    }
    if carried_out:
        overrides["execution"] = {**shared.get("execution", {}), **overrides.get("execution", {}), **carried_out}
    if second_model is not None:
        agents = {name: dict(agent or {}) for name, agent in shared["agents"].items()}
        agents[list(agents)[-1]]["model"] = second_model
        overrides["agents"] = agents
    folder = out or Path("runs") / f"reproduce-{Path(experiment).stem}"
    with Screen() as screen:
        made = options.run(
            run_experiment(
                experiment,
                out=folder,
                overrides=overrides,
                limit=limit,
                tasks=options.listed(tasks),
                data=data,
                trials=trials,
                observer=screen,
                progress=options.progress,
            )
        )
    for title, (header, *rows) in ((made.title, cells(made)), ("How the turns ended", ending_cells(made))):
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for name in header:
            is_text = name in ("task", "method", "figure", "note")
            table.add_column(name, justify="left" if is_text else "right", no_wrap=name == "task", overflow="fold")
        for row in rows:
            table.add_row(*row)
        if rows:
            options.console.print(table)
    for _, method, effects in made.effects:
        show_effects(method, effects)
    options.console.print(f"  ours: {made.conditions}", markup=False, soft_wrap=True)
    for task, hash_ in made.hashes:
        options.console.print(f"  run {hash_} ({task})", markup=False)
    for task, sentence in made.sentences:
        options.console.print(f"  {task}: {sentence}", markup=False, soft_wrap=True)
    for sentence in made.caveats:
        options.console.print(f"! {sentence}", markup=False, soft_wrap=True)
    options.console.print(f"wrote {folder}/reproduce.md, reproduce.json, report.html", markup=False)
