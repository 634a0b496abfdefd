"""Recordings whose classes are known: a table, or files that are named after their class."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from agents.beliefs.sound_files import read_sound
from agents.errors import ModelError
from agents.json_text import parse_json
from agents.models.sounds.spoken_digits import DIGITS
from agents.observation import Audio
from agents.ordinary_file import path_inside, read_ordinary, read_ordinary_text
from agents.zip_files import open_zip

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
# Bytes of a sound, or of all in an archive; and of a table.
LARGEST_SOUND, LARGEST_TABLE = 2_000_000_000, 100_000_000
# Its class, where it is, and how it is read: only what is taken is.
Recording = tuple[str, str, Callable[[], bytes]]


def read_examples(path: Path, *, each: int = 0) -> list[tuple[str, Audio]]:
    """Return recordings with their classes, in the order of the table or of their names.

    Args:
        path: a table (`.csv`, `.jsonl`) with columns `audio`, a path beside it or below, and `answer`; or a folder
            or zip of sound files <class>_….wav, where a digit is its word.
        each: how many of a class are taken, the first; 0 for all.

    Raises:
        ModelError: it is not there, has another form, or nothing in it.
        ObservationError: a file that is no sound.
    """
    taken: Counter[str] = Counter()
    found = []
    # A class is called as it is spelled first, whatever its case.
    spelled: dict[str, str] = {}
    try:
        for given, place, read in _recordings(path):
            name = spelled.setdefault(" ".join(given.casefold().split()), given)
            if not each or taken[name] < each:
                taken[name] += 1
                found.append((name, read_sound(read(), source=place)))
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise ModelError(f"no recordings with classes in {path}: {type(error).__name__}: {error}") from error
    if not found:
        raise ModelError(
            f"no recordings with classes in {path}: give a table with audio and answer, or files <class>_….wav"
        )
    return found


def _recordings(path: Path) -> Iterator[Recording]:
    if path.suffix in (".csv", ".jsonl"):
        text = read_ordinary_text(path, most=LARGEST_TABLE).removeprefix("\ufeff")
        for number, row in _rows(text, is_csv=path.suffix == ".csv"):
            file = path_inside(str(row["audio"]).strip(), path.parent)
            yield _answer(row, number), str(file), partial(read_ordinary, file, most=LARGEST_SOUND, follow=False)
    elif path.suffix == ".zip":
        with open_zip(path) as archive:
            for inside in archive.names(SOUNDS, most=LARGEST_SOUND):
                yield _class(inside), f"{path}:{inside}", partial(archive.read, inside, most=LARGEST_SOUND)
    else:
        for file in sorted(path.iterdir()):
            if file.suffix.lower() in SOUNDS:
                yield _class(file.name), str(file), partial(read_ordinary, file, most=LARGEST_SOUND)


def _rows(text: str, *, is_csv: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a table, each with the number of its line."""
    if not is_csv:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield number, parse_json(line)
        return
    reader = csv.DictReader(text.splitlines(), strict=True)
    columns = list(reader.fieldnames or [])
    if twice := next((column for column in columns if columns.count(column) > 1), None):
        raise ValueError(f"two columns are called {twice!r}; rename one of them")
    for row in reader:
        # What csv calls the values beyond the columns, and the value of a column beyond the values.
        if None in row or None in row.values():
            raise ValueError(f"line {reader.line_num} has not {len(columns)} values, one a column")
        yield reader.line_num, row


def _answer(row: dict[str, Any], number: int) -> str:
    """Return the class of a row."""
    value = row["answer"]
    said = str(value).strip() if isinstance(value, str | int) else ""
    if not said:
        raise ValueError(f"line {number}: the answer is the name of a class; got {value!r}")
    return said


def _class(name: str) -> str:
    said = Path(name).stem.partition("_")[0]
    return DIGITS[int(said)] if said in map(str, range(10)) else said
