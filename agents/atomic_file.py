"""Files and folders that are complete or not there: written beside their place, then renamed."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.errors import RunError, writing_failed


def write_atomic(path: Path, content: str | bytes, *, durable: bool = False) -> Path:
    """Write a file and return its path; see `open_atomic`."""
    with open_atomic(path, binary=isinstance(content, bytes), durable=durable) as file:
        file.write(content)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write JSON values as a file for people to read too, and return its path; see `open_atomic`."""
    return write_atomic(path, json.dumps(value, indent=1) + "\n")


@contextlib.contextmanager
def open_atomic(path: Path, *, binary: bool = False, durable: bool = False) -> Iterator[Any]:
    """Open a file to write beside its place, and rename it there when it is complete.

    Args:
        path: its place; folders above it are made if need be.
        binary: takes bytes; text is UTF-8.
        durable: wait until the disk has the content before the rename, and the new name after it.

    Raises:
        RunError: the disk does not take it, or a folder stands where it is written first: no file of ours left that.
    """
    if _is_folder(aside := _beside(path)):
        raise RunError(f"{aside} is a folder, where a file is written before it becomes {path.name}: move it elsewhere")
    # A new file, and never one behind a link that somebody put there.
    with (
        replacing(path, durable=durable) as aside,
        aside.open("xb") if binary else aside.open("x", encoding="utf-8") as file,
    ):
        yield file
        if durable:
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a path beside a file's or folder's place, and rename what was written there when the block ends.

    A block that fails leaves the place as it was, and nothing beside it.

    Args:
        path: the place.
        durable: wait until the disk has the new name; the content is the block's to sync.

    Raises:
        RunError: the disk does not take it.
    """
    aside = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # What a killed process left would mix with the new one.
        shutil.rmtree(aside) if _is_folder(aside) else aside.unlink(missing_ok=True)
        yield aside
        aside.replace(path)
        if durable:
            _sync_folder(path.parent)
    except BaseException as error:
        _remove(aside)
        if isinstance(error, OSError):
            raise writing_failed(path, error) from error
        raise


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _remove(path: Path) -> None:
    # The error under way is the one to report.
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if _is_folder(path) else path.unlink(missing_ok=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _sync_folder(path: Path) -> None:
    """Wait until the disk has a folder's entries."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
