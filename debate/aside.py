"""Files that are complete or not there: written beside their place, then renamed."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.errors import writing_failed


def write_aside(path: Path, text: str) -> Path:
    with open_aside(path) as file:
        file.write(text)
    return path


@contextlib.contextmanager
def open_aside(path: Path) -> Iterator[Any]:
    """Open a file to write beside its place, and rename it there when it is complete."""
    aside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            yield file
        aside.replace(path)
    except OSError as error:
        raise writing_failed(path, error) from error
