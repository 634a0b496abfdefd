"""Scoring debates: tasks, scorers, and the table that compares methods over the same questions."""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Analysis": "evals.analysis.summary",
    "Loaded": "evals.sample",
    "Sample": "evals.sample",
    "Score": "evals.sample",
    "Selection": "evals.evaluation",
    "Task": "evals.task",
    "analyse_run": "evals.analysis.outputs",
    "create_task": "evals.task",
    "evaluate": "evals.evaluation",
    "select": "evals.selection",
    "write_outputs": "evals.analysis.outputs",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
