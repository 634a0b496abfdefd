"""`debate bench prefix`: how much of a debate's prompts is computed again."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.bench import bench, options_by_backend


@bench.command()
def prefix(
    config: Annotated[Path, typer.Argument(help="Config of the debate.")] = Path("first_debate"),
    backends: Annotated[
        str, typer.Option("--backends", help="Backends to compare, separated by commas.")
    ] = "transformers",
    settings: options.Set = None,
    model: options.Model = None,
    limit: Annotated[
        int, typer.Option("--limit", "-L", min=1, help="Number of questions, played one after another.")
    ] = 4,
    block: Annotated[int, typer.Option("--block", min=1, help="Block size in tokens; whole blocks are shared.")] = 32,
    set_options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="[BACKEND.]KEY=VALUE", help="Option of one backend or of all; repeatable."),
    ] = None,
    out: options.Figures = None,
) -> None:
    """Measure how much of a debate's prompts is computed again each round, beside what could be shared.

    Example:  debate bench prefix --backends transformers,vllm
    """
    from agents.question import Question
    from debate.bench.prefix import bench_prefix
    from debate.config.schema import DebateConfig
    from debate.config.shipped import find_config
    from evals.task import create_task

    def questions(loaded: DebateConfig) -> list[Question]:
        samples = create_task(loaded.task, seed=loaded.seed).samples(limit)
        return [Question(sample.id, sample.question) for sample in samples]

    names = tuple(options.listed(backends))
    options.run(
        bench_prefix(
            config=find_config(config),
            settings=[*(settings or []), *([f"model={model}"] if model else [])],
            backends=names,
            options=options_by_backend(names, set_options),
            questions=questions,
            block=block,
            out=out,
            console=options.console,
            progress=options.progress,
        )
    )
