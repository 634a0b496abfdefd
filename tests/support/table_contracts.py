"""Contracts of backends that look at tables: cases, observations that they refuse, and a small learner."""

from pathlib import Path
from typing import Any

import torch
from support.contract import Contract

from agents.models.discrete_functions.families import draw
from agents.models.in_context.families import draw as draw_regression
from agents.models.in_context.families import kinds_of as regression
from agents.observation import Table
from agents.question import Question


def table_cases() -> list[Question]:
    """Return examples of conjunctions, of different numbers."""
    found = []
    for count in (1, 3, 7, 15):
        points = draw("conjunction", 1, count + 1, 8, torch.Generator().manual_seed(count))
        labels = tuple("01"[int(y > 0)] for y in points.y[0, :-1])
        found.append(Question("case", "?", (Table(points.x[0], tuple("abcdefgh"), labels),)))
    return found


def _table(values: torch.Tensor, label: str = "0") -> Table:
    rows, columns = values.shape
    return Table(values, tuple(f"x{i}" for i in range(columns)), (label,) * (rows - 1))


def functions_contract(rule: str, **options: Any) -> Contract:
    refused = [
        (_table(torch.full((3, 8), 0.5)), "points of -1 and \\+1"),
        (_table(torch.ones(3, 8), "spam"), "knows the labels 0 and 1; the table has 'spam'"),
    ]
    if rule == "learner":
        refused += [(_table(torch.ones(3, 5)), "points of 8 values"), (_table(torch.ones(40, 8)), "at most 16")]
    if rule == "bayes":
        refused += [(_table(torch.ones(3, 11)), "at most 10 dimensions")]
    return Contract(
        "discrete_functions",
        {"rule": rule, **options},
        table_cases,
        Table(torch.ones(1, 8), tuple("abcdefgh"), ()),
        tuple(refused),
    )


def regression_cases() -> list[Question]:
    """Return examples of linear functions, of different numbers."""
    found = []
    for count in (5, 7, 11, 15):
        points = draw_regression(regression("mixture", 4), 1, count + 1, torch.Generator().manual_seed(count))
        labels = tuple(f"{value:.6g}" for value in points.y[0, :-1].tolist())
        found.append(Question("case", "?", (Table(points.x[0].float(), tuple("abcd"), labels),)))
    return found


def small_in_context(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a random learner of two families."""
    from agents.models.in_context.backend import InContext
    from agents.models.in_context.config import LearnerConfig
    from agents.models.in_context.model import Learner

    torch.manual_seed(seed)
    config = LearnerConfig(("linear", "sparse"), width=16, layers=2, heads=2)
    InContext(learner=Learner(config).eval()).save_pretrained(folder)
    return {"checkpoint": str(folder)}


def in_context_contract(rule: str, **options: Any) -> Contract:
    refused = [
        (_table(torch.ones(3, 4), "spam"), "labels that are numbers of at most 1000; the table has 'spam'"),
        (_table(torch.ones(3, 4), "nan"), "labels that are numbers of at most 1000; the table has 'nan'"),
        (_table(torch.full((3, 4), 1e6)), "numbers of at most 1000; standardise the table"),
        (_table(torch.ones(3, 17)), "points of at most 16 values; the table has 17"),
    ]
    if rule == "learner":
        refused += [(_table(torch.ones(3, 5)), "points of 4 values"), (_table(torch.ones(40, 4)), "at most 16")]
    prepare = options.pop("prepare", lambda folder: {})
    return Contract(
        "in_context",
        {"rule": rule, **options},
        regression_cases,
        Table(torch.ones(1, 4), tuple("abcd"), ()),
        tuple(refused),
        prepare=prepare,
    )
