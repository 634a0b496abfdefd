"""Figures of a training seed, kept beside the recipe that they were measured by."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from agents.atomic_file import write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
FIGURES = "figures.json"


def kept_figures(folder: Path, recipe: "DataclassInstance", measure: Callable[[], T]) -> T:
    """Return what is kept in a folder if the same recipe gave it; otherwise measure it, and keep it.

    Args:
        folder: of one seed; made where it is not there.
        recipe: a dataclass.
        measure: gives the figures, as JSON values.
    """
    path = folder / FIGURES
    made_by = json.loads(json.dumps(asdict(recipe)))
    if path.is_file():
        kept = json.loads(path.read_text())
        if kept["recipe"] == made_by:
            found: T = kept["figures"]
            return found
    made = measure()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"recipe": made_by, "figures": made})
    return made
