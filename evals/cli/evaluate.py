"""`debate eval`: methods over the same questions, scored."""

import contextlib
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debate.cli import options
from debate.cli.app import app
from evals.cli import dry_run as rehearsal
from evals.cli import own_questions

if TYPE_CHECKING:
    from debate.config.schema import DebateConfig
    from debate.runtime.metrics import Metrics
    from debate.runtime.observer import Observer
    from evals.evaluation import Selection
    from evals.plan import Plan


@app.command("eval")
def evaluate(
    config: options.Config,
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            "--task",
            "-t",
            help="Tasks, separated by commas, e.g. arithmetic,mmlu:formal_logic (default: the config's).",
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods", help="Methods to compare, e.g. single,self-consistency@tokens,text,cipher:topk(k=5)."
        ),
    ] = None,
    limit: options.Limit = None,
    model: options.Model = None,
    seed: options.Seed = None,
    data: options.Data = None,
    columns: own_questions.Columns = None,
    scoring: own_questions.Scoring = None,
    split: Annotated[str | None, typer.Option("--split", help="Dataset split (default: the task's first).")] = None,
    num_fewshot: Annotated[
        int | None,
        typer.Option(
            "--num_fewshot", "--num-fewshot", help="Number of worked examples in the prompt (default: the task's own)."
        ),
    ] = None,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Ask the questions in an order drawn from --seed.")
    ] = False,
    sample_id: Annotated[
        list[str] | None, typer.Option("--sample-id", help="Ask only the question with this id; repeatable.")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Plan to register before the first turn: hypotheses, methods, questions, test."),
    ] = None,
    dry_run: rehearsal.DryRun = False,
    out: Annotated[
        Path | None, typer.Option("--out", "--output_path", "-o", help="Run folder (default: runs/CONFIG).")
    ] = None,
    overwrite: options.Overwrite = False,
    runtime: options.Runtime = None,
    ray_address: options.RayAddress = None,
    allow_huge: options.AllowHuge = False,
    sign_with: options.SignWith = None,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", min=0, max=65535, help="Port for Prometheus metrics; 0 takes a free one."),
    ] = None,
    metrics_host: Annotated[
        str,
        typer.Option(
            "--metrics-host",
            help="Address for Prometheus metrics; beyond loopback only with CIPHER_DEBATE_METRICS_TOKEN set.",
        ),
    ] = "127.0.0.1",
    otel: options.Otel = False,
    settings: options.Set = None,
) -> None:
    """Score methods over the same questions: single answers, votes at equal budget, text and CIPHER debates.

    Examples:

        debate eval configs/first_debate.yaml --limit 8 --out runs/first

        debate eval configs/cipher_vs_text.yaml --tasks arithmetic,reasoning_gym:chain_sum --limit 10

        debate eval first_debate --task file --data mine.csv --columns question=prompt,answer=gold --scoring number

    Everything is written to the run folder as it happens; read it with `debate show`. After Ctrl-C or a crash the same
    command continues where it stopped: no turn is taken twice. Names of methods are explained in docs/evaluation.md.
    """
    from agents.errors import ConfigError
    from evals.evaluation import Selection
    from evals.plan import load_plan, planned_selection

    names, execution = options.listed(tasks), options.execution(runtime, ray_address, allow_huge, sign_with)
    extra = [*execution, *own_questions.named_columns(columns)]
    loaded = [
        own_questions.scored(
            options.load(config, settings, model, seed, *extra, *([f"task={name}"] if name else [])), scoring
        )
        for name in names or [""]
    ]
    root = out or Path("runs") / config.stem
    folders = [root] if len(loaded) == 1 else [root / folder_name(one.task) for one in loaded]
    chosen_methods: Sequence[str] = options.listed(methods)
    registered = None if plan is None else load_plan(plan)
    if registered is not None:
        if len(loaded) > 1:
            raise ConfigError("--plan is of one task, and --tasks names several; make a plan for each")
        chosen_methods, limit = planned_selection(registered, chosen_methods, limit)
    chosen = Selection(limit, shuffle, tuple(sample_id or ()), split, num_fewshot, data)
    if dry_run:
        refused = [rehearsal.dry_run(one, chosen_methods, chosen) for one in loaded]
        raise typer.Exit(2 if any(refused) else 0)
    if remark := next(filter(None, map(own_questions.mock_remark, loaded)), ""):
        options.progress(remark)
    with _metrics(metrics_port, metrics_host) as metrics, options.traced(otel) as observers:
        told = [*observers, *([] if metrics is None else [metrics])]
        for one, folder in zip(loaded, folders, strict=True):
            _evaluate_task(one, folder, chosen_methods, chosen, overwrite, told, registered)
    _tell_where(root, folders)


@contextlib.contextmanager
def _metrics(port: int | None, host: str) -> Iterator["Metrics | None"]:
    """Serve counters while the block runs, where a port is given."""
    if port is None:
        yield None
        return
    from debate.runtime.metrics import Metrics

    with Metrics(port, host) as metrics:
        options.progress(f"metrics: http://{host}:{metrics.port}/metrics")
        yield metrics


def _evaluate_task(
    config: "DebateConfig",
    folder: Path,
    methods: Sequence[str],
    selection: "Selection",
    overwrite: bool,
    observers: "Sequence[Observer]",
    plan: "Plan | None",
) -> None:
    """Play the methods over one task, write what is derived, and print the table."""
    from debate.runtime.observer import Together
    from evals.analysis.derived import reason
    from evals.cli.screen import Screen, results_table
    from evals.cli.table import show_analysis
    from evals.evaluation import evaluate as run_evaluation
    from evals.outputs import write_outputs

    with Screen() as screen:
        rows = options.run(
            run_evaluation(
                config,
                out=folder,
                methods=methods,
                selection=selection,
                overwrite=overwrite,
                plan=plan,
                observer=Together(screen, *observers),
                progress=options.progress,
            )
        )
    try:
        (analysis,) = write_outputs(folder, warn=options.progress)
    except Exception as error:
        # What was paid for is on disk by now, and the next task is to be played whatever this one's statistics say.
        options.console.print(results_table(rows, config.task))
        options.progress(f"no intervals, comparisons or report page: {reason(error)}")
    else:
        show_analysis(analysis)


def _tell_where(root: Path, folders: Sequence[Path]) -> None:
    """Write the page of several tasks, and say where what was written is."""
    from evals.outputs import PAGE, write_outputs

    if len(folders) > 1 and all((folder / PAGE).is_file() for folder in folders):
        write_outputs(root, warn=options.progress)
    if (root / PAGE).is_file():
        options.console.print(f"report: {root / PAGE}", markup=False)
    options.console.print(f"transcripts: {root}  (debate show {shlex.quote(str(folders[-1]))})", markup=False)


def folder_name(task: str) -> str:
    """Return a task's name as a folder."""
    return re.sub(r"[^\w.\-]+", "-", task)
