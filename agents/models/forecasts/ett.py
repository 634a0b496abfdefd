"""ETT (Zhou et al., 2021; github zhouhaoyi/ETDataset): seven hourly series of a transformer, which forecasters train on.

The splits are those of papers on ETTh1: 12, 4 and 4 months of 30 days.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import torch
from torch import Tensor

from agents.errors import ModelError
from agents.zip_files import read_unzipped

MONTH = 30 * 24
SPLITS = {"train": (0, 12 * MONTH), "validation": (12 * MONTH, 16 * MONTH), "test": (16 * MONTH, 20 * MONTH)}


def read_ett(data: Path | None) -> tuple[Tensor, tuple[str, ...]]:
    """Return ETTh1 [L, 7] float64, oldest first, and its names, of a folder with ETTh1.csv(.gz), or with such a folder `ett`.

    Raises:
        ModelError: it is not there, or too short.
    """
    path, heading, lines = _lines(data)
    try:
        rows = [[float(value) for value in line.split(",")[1:]] for line in lines]
        values = torch.tensor(rows, dtype=torch.float64)
    except ValueError as error:
        raise ModelError(f"{path}: not a table of numbers ({error})") from error
    if len(values) < SPLITS["test"][1]:
        raise ModelError(f"{path}: {SPLITS['test'][1]} rows are needed; it has {len(values)}")
    return values, tuple(heading.split(",")[1:])


def read_marks(data: Path | None) -> Tensor:
    """Return the marks of ETTh1's times [L, 4] float64 (see `hourly_marks`).

    Raises:
        ModelError: it is not there, or a row does not begin with a time.
    """
    path, _, lines = _lines(data)
    try:
        return hourly_marks([datetime.fromisoformat(line.partition(",")[0]) for line in lines])
    except ValueError as error:
        raise ModelError(f"{path}: a row does not begin with a time ({error})") from error


def hourly_marks(times: Sequence[datetime]) -> Tensor:
    """Return hour of the day, day of the week, of the month and of the year [L, 4], each from -0.5 to 0.5, float64.

    As of forecasters of hourly series (github thuml/iTransformer, utils/timefeatures.py).
    """
    rows = [(t.hour / 23, t.weekday() / 6, (t.day - 1) / 30, (t.timetuple().tm_yday - 1) / 365) for t in times]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 4) - 0.5


def windows(values: Tensor, split: str, lookback: int, horizon: int, marks: Tensor | None = None) -> tuple[Tensor, ...]:
    """Return every window [n, lookback, N] of a split and what came next [n, horizon, N], float32.

    Standardised by the training months; windows of validation and test begin a lookback earlier. With marks [L, C] of the
    times also those of each window [n, lookback, C], as they are.
    """
    first, end = SPLITS[split]
    known = values[slice(*SPLITS["train"])]
    shown = slice(max(first - lookback, 0), end)
    part = ((values - known.mean(0)) / known.std(0, correction=0))[shown].float()
    both = part.unfold(0, lookback + horizon, 1).transpose(1, 2)
    found = (both[:, :lookback], both[:, lookback:])
    if marks is None:
        return found
    return *found, marks[shown].float().unfold(0, lookback + horizon, 1).transpose(1, 2)[:, :lookback]


def _lines(data: Path | None) -> tuple[Path, str, list[str]]:
    files = ("ETTh1.csv", "ETTh1.csv.gz", "ett/ETTh1.csv", "ett/ETTh1.csv.gz")
    path = next((data / name for name in files if (data / name).is_file()), None) if data is not None else None
    if path is None:
        raise ModelError("ETT is not there: give --data with ETTh1.csv or ETTh1.csv.gz (github zhouhaoyi/ETDataset)")
    heading, *lines = read_unzipped(path).splitlines() or [""]
    return path, heading, [line for line in lines if "," in line]
