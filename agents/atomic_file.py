"""Files that are complete or not there: written beside their place, then renamed."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.errors import writing_failed


def write_atomic(path: Path, text: str) -> Path:
    """Write a file and return its path.

    Raises:
        RunError: the disk does not take it.
    """
    with open_atomic(path) as file:
        file.write(text)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write JSON values as a file for people to read too, and return its path; see `write_aside`."""
    return write_atomic(path, json.dumps(value, indent=1) + "\n")


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[Any]:
    """Open a file to write beside its place, and rename it there when it is complete."""
    aside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            yield file
        aside.replace(path)
    except OSError as error:
        raise writing_failed(path, error) from error
