"""Columns of a row that name what is looked at: `image`, a picture, and `audio`, a sound; files beside the row's own."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.errors import ObservationError
from agents.observation import Document, Observation
from agents.ordinary_file import path_inside, read_ordinary
from evals.datasets.rows import DataRow

AUDIO, IMAGE = "audio", "image"
PAGE = "page"
"""In a sample's metadata: lines of the page that was looked at, each its text and edges (left, top, right, bottom), as shares."""
LARGEST = {AUDIO: 2_000_000_000, IMAGE: 50_000_000}
"""Column → bytes that its file may have; of a sound three hours of a CD."""


def observations(row: DataRow, folder: Path, *, is_listed: bool = False) -> tuple[Observation, ...]:
    """Return what a row shows besides its question; nothing where it has no such column.

    Args:
        row: its columns `audio` and `image` are paths, which begin at the folder and stay in it. As Parquet files of the hub have
            it, a column may also be `{"bytes": …, "path": …}`: the file itself, or with no bytes its path.
        folder: folder of the row's file.
        is_listed: whether its paths are no text of a table, but the file that the user named, or those found in the folder that
            the user named; these may be links to anywhere.

    Raises:
        TaskError: a file that is not there, lies elsewhere, or is no sound or picture, or a value that is no path; with the
            row's place.
        MissingDependency: one that only a library reads.
    """
    return tuple(_read(row, column, folder, is_listed) for column in LARGEST if row.has(column))


def page_of(page: Document) -> list[list[Any]]:
    """Return the lines of a page as `PAGE` keeps them."""
    return [
        [line, *(round(edge, 3) for edge in box)] for line, box in zip(page.lines, page.boxes.tolist(), strict=True)
    ]


def page_lines(metadata: Mapping[str, Any]) -> list[str]:
    """Return the lines of the page that a sample's metadata keep, each behind its box; none where they keep no such page."""
    kept = metadata.get(PAGE)
    if not isinstance(kept, list | tuple) or not all(map(_is_line, kept)):
        return []
    return [" ".join(f"{edge:.3f}" for edge in box) + f"  {line}" for line, *box in kept]


def _is_line(kept: Any) -> bool:
    return (
        isinstance(kept, list | tuple)
        and len(kept) == 5
        and isinstance(kept[0], str)
        and all(isinstance(edge, int | float) for edge in kept[1:])
    )


def shown_files(row: DataRow) -> dict[str, str]:
    """Return column → path of what a row shows; the path that its data name, where it holds the data themselves."""
    found = {column: row.values[column] for column in LARGEST if row.has(column)}
    return {
        name: str(value.get("path") or "") if isinstance(value, dict) else str(value) for name, value in found.items()
    }


def _read(row: DataRow, column: str, folder: Path, is_listed: bool) -> Observation:
    value, most = row.values[column], LARGEST[column]
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        place, blob = f"column {column!r}", value["bytes"]
        if len(blob) > most:
            raise row.error(f"{place} has {len(blob):,} bytes, and {most:,} are allowed")
    else:
        text = _path_text(row, column, value)
        path = folder / text
        place = str(path)
        checked = Path(os.path.realpath(path)) if is_listed else _inside(row, text, folder)
        try:
            # What was looked at is what is opened: its links are followed already.
            blob = read_ordinary(checked, most=most, follow=False)
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


def _path_text(row: DataRow, column: str, value: Any) -> str:
    """Return the path that a value is, or has where its bytes are none."""
    given = value.get("path") if isinstance(value, dict) and value.get("bytes") is None else value
    if isinstance(value, dict) and given is None:
        raise row.error(f"column {column!r} has neither bytes nor a path")
    if given is not None and not isinstance(given, str):
        raise row.error(
            f'column {column!r} is a path, or {{"bytes": …, "path": …}} with one of the two; this is a {type(given).__name__}'
        )
    text = (given or "").strip()
    if not text:
        raise row.error(f"{column} is empty")
    return text


def _inside(row: DataRow, text: str, folder: Path) -> Path:
    """Return the path of a row's file without links, if it lies in the folder: a table of somebody else's names no others."""
    try:
        return path_inside(text, folder)
    except ValueError as error:
        raise row.error(str(error)) from error
