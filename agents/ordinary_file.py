"""Reading a file that somebody else named: an ordinary one of a bounded size. A pipe is not waited for, and a device not read."""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_ordinary(path: Path, *, most: int, follow: bool = True) -> Iterator[io.BufferedReader]:
    """Open an ordinary file for reading, as bytes.

    Args:
        path: the file.
        most: bytes that it may have.
        follow: whether a link is followed.

    Raises:
        OSError: it is not there, not readable, larger, or a folder, pipe, socket or device; `strerror` says which.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    handle = os.open(path, flags)
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file")
        if facts.st_size > most:
            raise OSError(errno.EFBIG, f"it has {facts.st_size:,} bytes, and {most:,} are allowed")
        with open(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def check_ordinary(path: Path) -> Path:
    """Return the path of a file that a library is to open by itself; see `open_ordinary`, which it is not to wait in.

    Raises:
        OSError: it is not there, or a folder, pipe, socket or device.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
    return path


def read_ordinary(path: Path, *, most: int, follow: bool = True) -> bytes:
    """Return the bytes of an ordinary file; see `open_ordinary`."""
    with open_ordinary(path, most=most, follow=follow) as file:
        # It may grow meanwhile.
        return file.read(most)


def read_ordinary_text(path: Path, *, most: int) -> str:
    """Return the text of an ordinary file in UTF-8, every end of a line as one newline; see `read_ordinary`.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    return io.TextIOWrapper(io.BytesIO(read_ordinary(path, most=most)), encoding="utf-8").read()


def path_inside(text: str, folder: Path) -> Path:
    """Return the path that somebody else's text names, without links, if it lies in a folder.

    Raises:
        ValueError: it is no path, or lies elsewhere.
    """
    if "\0" in text:
        raise ValueError("a path has no null character")
    try:
        text.encode()
        path = folder / Path(text).expanduser()
    except (ValueError, RuntimeError) as error:
        # Half a character, or the folder of a user that is not there.
        raise ValueError(f"{text!a} is no path: {error}") from error
    home, found = os.path.realpath(folder), os.path.realpath(path)
    if os.path.commonpath([home, found]) != home:
        raise ValueError(f"{path} lies outside {folder}: what a table shows lies beside it, or in a folder below")
    return Path(found)
