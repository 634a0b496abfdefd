"""`debate eval`: methods over the same questions, scored."""

import contextlib
import re
from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.app import app


@app.command("eval")
def evaluate(
    config: options.Config,
    tasks: Annotated[
        str | None,
        typer.Option("--tasks", "--task", "-t", help="e.g. arithmetic,mmlu:formal_logic; the config's by default."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option("--methods", help="Rows of the table, e.g. single,self-consistency@tokens,text,cipher:topk(k=5)."),
    ] = None,
    limit: options.Limit = None,
    model: options.Model = None,
    seed: options.Seed = None,
    data: options.Data = None,
    split: Annotated[str | None, typer.Option("--split", help="Of the task; its first by default.")] = None,
    num_fewshot: Annotated[
        int | None, typer.Option("--num_fewshot", "--num-fewshot", help="Worked examples; the task's own by default.")
    ] = None,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Ask in an order drawn from --seed.")] = False,
    sample_id: Annotated[
        list[str] | None, typer.Option("--sample-id", help="Ask only this question; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "--output_path", "-o", help="The run folder; runs/CONFIG by default.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete an earlier run there and start again.")
    ] = False,
    runtime: options.Runtime = None,
    ray_address: options.RayAddress = None,
    allow_huge: options.AllowHuge = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port", min=0, max=65535, help="Serve counters for Prometheus here; 0 takes a free port."
        ),
    ] = None,
    metrics_host: Annotated[
        str,
        typer.Option(
            "--metrics-host", help="Beyond loopback only with CIPHER_DEBATE_METRICS_TOKEN in the environment."
        ),
    ] = "127.0.0.1",
    settings: options.Set = None,
) -> None:
    """Score methods over the same questions: single answers, votes at equal budget, text and CIPHER debates.

    Examples:

        debate eval configs/first_debate.yaml --limit 8 --out runs/first

        debate eval configs/cipher_vs_text.yaml --tasks arithmetic,reasoning_gym:chain_sum --limit 10

    Everything is written to the run folder as it happens; read it with `debate show`. After Ctrl-C or a crash the same
    command goes on where it was: no turn is taken twice. What the names of methods mean: docs/evaluation.md.
    """
    from agents.errors import MissingDependency
    from debate.runtime.observer import Observer, Together
    from evals.analysis.outputs import PAGE, write_outputs
    from evals.cli.screen import Screen, results_table
    from evals.cli.table import show_analysis
    from evals.evaluation import Selection
    from evals.evaluation import evaluate as run_evaluation

    names, execution = options.listed(tasks), options.execution(runtime, ray_address, allow_huge)
    loaded = [
        options.load(config, settings, model, seed, *execution, *([f"task={name}"] if name else []))
        for name in names or [""]
    ]
    root = out or Path("runs") / config.stem
    chosen = Selection(limit, shuffle, tuple(sample_id or ()), split, num_fewshot, data)
    with contextlib.ExitStack() as stack:
        watching: list[Observer] = []
        if metrics_port is not None:
            from debate.runtime.metrics import Metrics

            metrics = stack.enter_context(Metrics(metrics_port, metrics_host))
            options.progress(f"metrics: http://{metrics_host}:{metrics.port}/metrics")
            watching.append(metrics)
        for one in loaded:
            folder = root if len(loaded) == 1 else root / folder_name(one.task)
            with Screen() as screen:
                rows = options.run(
                    run_evaluation(
                        one,
                        out=folder,
                        methods=options.listed(methods),
                        selection=chosen,
                        overwrite=overwrite,
                        observer=Together(screen, *watching),
                        progress=options.progress,
                    )
                )
            try:
                (analysis,) = write_outputs(folder)
            except MissingDependency as error:
                options.console.print(results_table(rows, one.task))
                options.progress(f"no intervals, comparisons or report page: {error}")
                continue
            show_analysis(analysis)
    if len(loaded) > 1 and all((root / folder_name(one.task) / PAGE).is_file() for one in loaded):
        write_outputs(root)
    if (root / PAGE).is_file():
        options.console.print(f"report: {root / PAGE}", markup=False)
    options.console.print(f"transcripts: {root}  (debate show {root if len(loaded) == 1 else folder})", markup=False)


def folder_name(task: str) -> str:
    """Return a task's name as a folder."""
    return re.sub(r"[^\w.\-]+", "-", task)
