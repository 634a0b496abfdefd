"""Lines of a figure as data: what a recipe measured at each step of something, one figure a training seed; drawn elsewhere."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agents.errors import ConfigError, ModelError, first_line
from agents.json_text import parse_json

SUFFIX = ".curves.json"
"""Ending of a file of curves in a recipe's output folder; `debate train` draws each beside it."""


@dataclass(frozen=True)
class Curves:
    """Lines over one axis.

    Attributes:
        across, up: what the axes mean.
        places: values along the axis across.
        lines: name of a line → for each place one figure a seed; a line may end before the others.
        is_logarithmic: whether the axis up is.
    """

    across: str
    up: str
    places: tuple[float, ...]
    lines: Mapping[str, Sequence[Sequence[float]]]
    is_logarithmic: bool = False

    def __post_init__(self) -> None:
        for name, rows in self.lines.items():
            if not 0 < len(rows) <= len(self.places) or not all(rows):
                raise ConfigError(
                    f"the line {name!r} has figures of {len(rows)} places; there are {len(self.places)}, and a line has the first"
                    " of them"
                )
            if not all(math.isfinite(value) for row in rows for value in row):
                raise ConfigError(f"the line {name!r} has a figure that is not finite")


def by_place(seeds: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[list[float]]]:
    """Return lines, name → for each place one figure a seed, of what each seed has: name → a figure for each place."""
    names = dict.fromkeys(name for seed in seeds for name in seed)
    return {name: [list(row) for row in zip(*(seed[name] for seed in seeds), strict=True)] for name in names}


def write_curves(path: Path, curves: Curves) -> None:
    """Write curves as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(curves), indent=1) + "\n")


def read_curves(path: Path) -> Curves:
    """Return the curves of a file.

    Raises:
        ModelError: no curves there.
    """
    try:
        stored = parse_json(path.read_text())
        stored["places"] = tuple(stored["places"])
        return Curves(**stored)
    except (OSError, ValueError, TypeError, KeyError, ConfigError) as error:
        raise ModelError(f"no curves in {path}: {first_line(error)[:200]}") from error
