"""ETT (Zhou et al., 2021; github zhouhaoyi/ETDataset): seven hourly series of a transformer, which forecasters train on.

The splits are those of papers on ETTh1: 12, 4 and 4 months of 30 days.
"""

import csv
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from agents.errors import ModelError
from agents.zip_files import read_unzipped

MONTH = 30 * 24
APART = timedelta(hours=1)
"""Between rows."""
SPLITS = {"train": (0, 12 * MONTH), "validation": (12 * MONTH, 16 * MONTH), "test": (16 * MONTH, 20 * MONTH)}


def read_ett(data: Path | None) -> tuple[Tensor, tuple[str, ...]]:
    """Return ETTh1 [L, 7] float64, oldest first, and its names, of a folder with ETTh1.csv(.gz), or with such a folder `ett`.

    Raises:
        ModelError: it is not there, is too short, or holds something else; with the line.
    """
    path, names, lines = _lines(data)
    if len(lines) < SPLITS["test"][1]:
        raise ModelError(f"{path}: {SPLITS['test'][1]} rows are needed; it has {len(lines)}")
    values = torch.tensor([_values(cells, names, f"{path}:{number}") for number, cells in lines], dtype=torch.float64)
    _times(path, lines)
    return values, names


def read_marks(data: Path | None) -> Tensor:
    """Return the marks of ETTh1's times [L, 4] float64 (see `hourly_marks`).

    Raises:
        ModelError: it is not there, or its rows are not of one hour after the other.
    """
    path, _, lines = _lines(data)
    return hourly_marks(_times(path, lines))


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


def _lines(data: Path | None) -> tuple[Path, tuple[str, ...], list[tuple[int, list[str]]]]:
    """Return the path of the table, the names of its series, and the cells of its rows, each with the number of its line."""
    files = ("ETTh1.csv", "ETTh1.csv.gz", "ett/ETTh1.csv", "ett/ETTh1.csv.gz")
    path = next((data / name for name in files if (data / name).is_file()), None) if data is not None else None
    if path is None:
        raise ModelError("ETT is not there: give --data with ETTh1.csv or ETTh1.csv.gz (github zhouhaoyi/ETDataset)")
    reader = csv.reader(read_unzipped(path).splitlines())
    try:
        heading, *rows = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))] or [(1, [""])]
    except csv.Error as error:
        raise ModelError(f"{path}:{reader.line_num}: not CSV: {error}") from error
    names = tuple(name.strip() for name in heading[1][1:])
    if not names:
        raise ModelError(
            f"{path}: a table has a time and series between commas; its first line is {heading[1][0][:40]!r}"
        )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ModelError(f"{path}: two series are called {twice!r}; rename one of them")
    return path, names, rows


def _values(cells: Sequence[str], names: Sequence[str], place: str) -> list[float]:
    """Return the numbers of a row."""
    if len(cells) != 1 + len(names):
        raise ModelError(f"{place}: {len(cells)} values, between commas, for {1 + len(names)} columns")
    found = [_number(cell) for cell in cells[1:]]
    if (gap := next((column for column, value in enumerate(found) if not math.isfinite(value)), None)) is not None:
        raise ModelError(f"{place}: {names[gap]} is no finite number: {cells[gap + 1][:40]!r}; fill gaps in")
    return found


def _number(cell: str) -> float:
    """Return the number that a cell is; NaN where it is none."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _times(path: Path, lines: Sequence[tuple[int, list[str]]]) -> list[datetime]:
    """Return the time of each row: oldest first, an hour apart, as splits and questions count rows for hours."""
    found = []
    for number, cells in lines:
        try:
            found.append(datetime.fromisoformat(cells[0].strip()).replace(tzinfo=None))
        except ValueError as error:
            raise ModelError(f"{path}:{number}: a row begins with a time, as 2016-07-01 00:00:00 ({error})") from error
    for (before, time), (number, _) in zip(pairwise(found), lines[1:], strict=True):
        if time - before != APART:
            raise ModelError(f"{path}:{number}: rows are an hour apart, oldest first; {time} comes after {before}")
    return found
