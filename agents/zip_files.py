"""Zip archives and gzipped texts that somebody else packed: each file, and all of an archive together, of a bounded size."""

import gzip
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from agents.errors import ModelError, first_line
from agents.ordinary_file import open_ordinary

DAMAGED = (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error, zlib.error,
           lzma.LZMAError)  # fmt: skip
"""What a damaged archive raises, by what it is packed with."""
# Bytes of an archive, and of all files of a kind in it, unpacked; a few bytes of a file may become more of a tensor.
LARGEST, MOST_BYTES, MOST_FILES = 1 << 32, 1 << 29, 200_000
BESIDE = "__MACOSX/"
"""Folder of an archive of macOS, of what its file system keeps beside each file, under the file's own name."""
# Of a text; the corpora that recipes read have some millions.
MOST_TEXT = 1 << 28


class ZipFiles:
    """The files of an archive.

    Args:
        archive: open.
        path: of it, for errors.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._path = archive, path

    def names(self, suffixes: Sequence[str], *, most: int = MOST_BYTES) -> list[str]:
        """Return the names of the files with one of some suffixes, in their order; those that macOS adds are none of them.

        Raises:
            ModelError: too many of them, or more bytes than `most` when they are unpacked.
        """
        found = [
            entry
            for entry in self._archive.infolist()
            if PurePosixPath(entry.filename).suffix.lower() in suffixes and not entry.filename.startswith(BESIDE)
        ]
        if len(found) > MOST_FILES:
            raise ModelError(f"{self._path}: it has {len(found):,} files, and {MOST_FILES:,} are read; divide it")
        if (size := sum(entry.file_size for entry in found)) > most:
            raise ModelError(f"{self._path}: its files have {size:,} bytes, and {most:,} are read; divide it")
        return sorted(entry.filename for entry in found)

    def read(self, name: str, *, most: int) -> bytes:
        """Return the bytes of a file.

        Raises:
            ModelError: it is not there, or larger than `most`.
        """
        try:
            entry = self._archive.getinfo(name)
        except KeyError as error:
            raise ModelError(f"{self._path}: there is no {name} in it") from error
        if entry.file_size > most:
            raise ModelError(f"{self._path}:{name}: it has {entry.file_size:,} bytes, and {most:,} are allowed")
        # Not unpacked beyond what its head says, whatever is packed.
        return self._archive.read(entry)


@contextmanager
def open_zip(path: Path) -> Iterator[ZipFiles]:
    """Open an archive.

    Raises:
        ModelError: it is none, is damaged, or too large.
    """
    try:
        with open_ordinary(path, most=LARGEST) as file, zipfile.ZipFile(file) as archive:
            yield ZipFiles(archive, path)
    except DAMAGED as error:
        raise ModelError(f"cannot read {path}: {first_line(error)[:200]}") from error


def read_unzipped(path: Path, *, most: int = MOST_TEXT) -> str:
    """Return the text of a file in UTF-8, which is gzipped where its name ends in `.gz`.

    Raises:
        ModelError: it cannot be read, is damaged, or has more than `most` bytes.
    """
    try:
        with open_ordinary(path, most=LARGEST) as raw:
            file = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            content = file.read(most + 1)
        if len(content) > most:
            raise ModelError(f"{path} has more than {most:,} bytes; give a part of it")
        return content.decode("utf-8-sig")
    except DAMAGED as error:
        raise ModelError(f"cannot read {path}: {first_line(error)[:200]}") from error
