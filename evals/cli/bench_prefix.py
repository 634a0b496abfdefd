"""`debate bench prefix`: how much of a debate's prompts is computed again."""

from pathlib import Path
from typing import Annotated

import typer

from debate.cli import options
from debate.cli.bench import bench, options_by_backend


@bench.command()
def prefix(
    config: Annotated[Path, typer.Argument(help="A config of a debate.")] = Path("first_debate"),
    backends: Annotated[str, typer.Option("--backends", help="Registered ones.")] = "transformers",
    settings: options.Set = None,
    model: options.Model = None,
    limit: Annotated[int, typer.Option("--limit", "-L", min=1, help="Questions, played one after the other.")] = 4,
    block: Annotated[int, typer.Option("--block", min=1, help="Positions that are shared together.")] = 32,
    set_options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="[BACKEND.]KEY=VALUE", help="Of one backend or of all; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the figures as JSON.")] = None,
) -> None:
    """How much of a debate's prompts is computed again round by round, beside what could be shared.

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
