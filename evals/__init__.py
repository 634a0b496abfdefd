"""Scoring debates: tasks, scorers, and the table that compares methods over the same questions."""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Loaded": "evals.task",
    "Sample": "evals.task",
    "Score": "evals.task",
    "Task": "evals.task",
    "create_task": "evals.task",
    "evaluate": "evals.evaluate",
    "select": "evals.selection",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
