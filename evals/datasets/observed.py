"""Columns of a row that name what is looked at: `image`, a picture, and `audio`, a sound; files beside the row's own."""

import os
from pathlib import Path
from typing import Any

from agents.errors import ObservationError
from agents.observation import Observation
from agents.ordinary_file import read_ordinary
from evals.datasets.rows import DataRow

AUDIO, IMAGE = "audio", "image"
LARGEST = {AUDIO: 2_000_000_000, IMAGE: 50_000_000}
"""Column → bytes that its file may have; of a sound three hours of a CD."""


def observations(row: DataRow, folder: Path) -> tuple[Observation, ...]:
    """Return what a row shows besides its question; nothing where it has no such column.

    Args:
        row: its columns `audio` and `image` are paths, which begin at the folder and stay in it; the file of a picture may also
            stand there itself, as `{"bytes": …}`, which is how Parquet files of the hub have it.
        folder: folder of the row's file.

    Raises:
        TaskError: a file that is not there, lies elsewhere, or is no sound or picture; with the row's place.
        MissingDependency: one that only a library reads.
    """
    return tuple(_read(row, column, row.values[column], folder) for column in LARGEST if row.has(column))


def shown_files(row: DataRow) -> dict[str, str]:
    """Return column → path of what a row shows; the path that its data name, where it holds the data themselves."""
    found = {column: row.values[column] for column in LARGEST if row.has(column)}
    return {
        name: str(value.get("path") or "") if isinstance(value, dict) else str(value) for name, value in found.items()
    }


def _read(row: DataRow, column: str, value: Any, folder: Path) -> Observation:
    most = LARGEST[column]
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        place, blob = f"column {column!r}", value["bytes"]
        if len(blob) > most:
            raise row.error(f"{place} has {len(blob):,} bytes, and {most:,} are allowed")
    else:
        path = _inside(row, row.text(column), folder)
        place = str(path)
        try:
            blob = read_ordinary(path, most=most)
        except OSError as error:
            raise row.error(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return _reading(column, blob, place)
    except ObservationError as error:
        raise row.error(str(error)) from error


def _reading(column: str, blob: bytes, source: str) -> Observation:
    # Both need torch, which a run of questions in words is looked at without.
    if column == AUDIO:
        from agents.beliefs.sound_files import read_sound

        return read_sound(blob, source=source)
    from agents.beliefs.picture_files import read_picture

    return read_picture(blob, source=source)


def _inside(row: DataRow, text: str, folder: Path) -> Path:
    """Return the path of a row's file, if it lies in the folder: a table of somebody else's names no other files."""
    path = folder / Path(text).expanduser()
    if "\0" in text:
        raise row.error("a path has no null character")
    home = os.path.realpath(folder)
    if os.path.commonpath([home, os.path.realpath(path)]) != home:
        raise row.error(f"{path} lies outside {folder}: what a table shows lies beside it, or in a folder below")
    return path
