"""The head of a GGUF file, walked before a library reads it: every length that it says is held against what the file has.

ggml's specification, versions 2 and 3: magic, version, the numbers of tensors and of entries; each entry a name, a type and a
value; each tensor a name, sizes, a type and a place. The library makes an object of every element of a list, though the file may
have none of them, and calls itself for a list within a list.
"""

import struct
from io import BufferedReader
from pathlib import Path

from agents.errors import ModelError
from agents.ordinary_file import open_ordinary

MAGIC = b"GGUF"
LARGEST_FILE = 1 << 42
MOST_ENTRIES = MOST_TENSORS = 100_000
MOST_ELEMENTS = 8_000_000
"""Of all lists together: tokens, their scores and kinds, merges."""
MOST_SIZES = 8
# Type of a value → its bytes.
SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TEXT, LIST = 8, 9


def refuse_lying_head(path: Path) -> None:
    """Raise ModelError for a GGUF file whose head says more than the file has, or more than a model's head does.

    What is no GGUF file at all is left to who reads it.
    """
    try:
        with open_ordinary(path, most=LARGEST_FILE) as file:
            if file.read(len(MAGIC)) == MAGIC:
                _Head(path, file).walk()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


class _Head:
    """A head under way."""

    def __init__(self, path: Path, file: BufferedReader) -> None:
        self.path, self.file = path, file
        self.left = path.stat().st_size - len(MAGIC)
        self.elements = 0
        self.order = "<"
        (version,) = self._numbers("I")
        if version and not version & 0xFFFF:
            # Of the other order of bytes.
            self.order = ">"

    def walk(self) -> None:
        """Go through entries and tensors."""
        tensors, entries = self._numbers("QQ")
        self._at_most(entries, MOST_ENTRIES, "entries")
        self._at_most(tensors, MOST_TENSORS, "tensors")
        for _ in range(entries):
            self._text()
            (kind,) = self._numbers("I")
            self._list() if kind == LIST else self._value(kind)
        for _ in range(tensors):
            self._text()
            (sizes,) = self._numbers("I")
            self._at_most(sizes, MOST_SIZES, "sizes of a tensor")
            self._skip(8 * sizes + 12)

    def _list(self) -> None:
        kind, length = self._numbers("IQ")
        if kind == LIST:
            raise self._refused("it has a list within a list, which no model's head has")
        self.elements += length
        self._at_most(self.elements, MOST_ELEMENTS, "elements of lists")
        if kind == TEXT:
            for _ in range(length):
                self._text()
        else:
            self._skip(length * self._size(kind))

    def _value(self, kind: int) -> None:
        self._text() if kind == TEXT else self._skip(self._size(kind))

    def _size(self, kind: int) -> int:
        if kind not in SCALARS:
            raise self._refused(f"a value is of type {kind}, which there is not")
        return SCALARS[kind]

    def _text(self) -> None:
        (length,) = self._numbers("Q")
        self._skip(length)

    def _numbers(self, form: str) -> tuple[int, ...]:
        form = self.order + form
        size = struct.calcsize(form)
        self._take(size)
        return struct.unpack(form, self.file.read(size))

    def _skip(self, size: int) -> None:
        self._take(size)
        self.file.seek(size, 1)

    def _take(self, size: int) -> None:
        if size > self.left:
            raise self._refused("it says more than the file has. Get it whole")
        self.left -= size

    def _at_most(self, found: int, most: int, what: str) -> None:
        if found > most:
            raise self._refused(f"it says {found:,} {what}, and at most {most:,} are read")

    def _refused(self, why: str) -> ModelError:
        return ModelError(f"{self.path.name} has the head of no GGUF model: {why}")
