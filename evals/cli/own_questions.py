"""The options of commands that ask a user's own questions."""

import json
from typing import Annotated, Any

import typer

Columns = Annotated[
    str | None,
    typer.Option("--columns", help="Names of your file's columns (--task file), e.g. question=prompt,answer=gold."),
]
Scoring = Annotated[
    str | None,
    typer.Option(
        "--scoring",
        help="Comparison of answers to your own questions: number, choice, mathematics, text, contains or regex.",
    ),
]


def named_columns(columns: str | None) -> list[str]:
    """Return the override of `--columns`."""
    from evals.datasets.columns import parse_columns

    return [] if columns is None else [f"columns={json.dumps(parse_columns(columns))}"]


def scored(config: Any, scoring: str | None) -> Any:
    """Return a config whose own questions are scored as `--scoring` says.

    Raises:
        ConfigError: its task has a scoring of its own, or another scoring in its name.
    """
    from agents.errors import ConfigError

    task, colon, named = config.task.partition(":")
    if scoring is None:
        return config
    if task != "file":
        raise ConfigError(
            f"--scoring is for your own questions (--task file --data FILE); {config.task} knows how its answers are compared"
        )
    if colon and named != scoring:
        raise ConfigError(f"--scoring {scoring}: the task is {config.task}; give one of the two")
    return config.model_copy(update={"task": f"file:{scoring}"})


def mock_remark(config: Any) -> str:
    """Return what a reader of answers by the mock has to know; an empty text where it answers sums, or by a script.

    Args:
        config: the debate.
    """
    is_mock = any(backend == "mock" for *_, backend in config.engines)
    scripts = [config.options, *(agent.options for agent in config.agents.values())]
    if not is_mock or config.task.partition(":")[0] == "arithmetic" or any("script" in options for options in scripts):
        return ""
    return (
        "the mock backend answers only arithmetic: what it says to other questions is made up and shows that the run works; "
        "name a model for answers, e.g. --set backend=transformers --model smollm2"
    )
