"""The embedding table of a model, row by row from the file that it lies in: nothing is loaded but what is asked for.

V vocabulary, D embedding width, T rows.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.message_arrays import widened

NAMES = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight")
# How a safetensors file calls its types, and how their bytes are read.
_TYPES = {"BF16": "<u2", "F16": "<f2", "F32": "<f4"}
_LENGTH_BYTES, _LARGEST_HEADER = 8, 100 << 20
_CHUNK_ROWS = 4096


@dataclass(frozen=True)
class Table:
    """A table in a file.

    Attributes:
        stored: [V, D], as in the file; bfloat16 as its 16 bits.
    """

    stored: NDArray[Any]

    def rows(self, ids: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Return rows [T, D]."""
        found = np.asarray(self.stored[ids])
        return widened(found) if found.dtype == np.uint16 else found.astype(np.float32)

    def digest(self) -> str:
        """Return the hash of the table that a model's fingerprint has: SHA-256 of its numbers, rounded to bfloat16."""
        sha = hashlib.sha256()
        for start in range(0, len(self.stored), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            is_rounded = self.stored.dtype == np.uint16
            sha.update(np.ascontiguousarray(self.stored[part] if is_rounded else _halves(self.rows(part))).data)
        return sha.hexdigest()


def table_with_hash(folder: Path, digest: str) -> Table | None:
    """Return the table in a model's folder that has a hash; None where none has, or the files cannot be read."""
    try:
        for file in sorted(folder.glob("*.safetensors")):
            for table in _tables(file):
                if table.digest() == digest:
                    return table
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        # No safetensors files: what they say of their own parts is not true.
        return None
    return None


def _tables(path: Path) -> Iterator[Table]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = json.loads(file.read(length)) if length <= _LARGEST_HEADER else {}
    for name, place in header.items():
        if name.endswith(NAMES) and place["dtype"] in _TYPES:
            numbers, (begin, end) = np.dtype(_TYPES[place["dtype"]]), place["data_offsets"]
            rows, width = place["shape"]
            start = _LENGTH_BYTES + length + begin
            if min(begin, rows, width) < 0 or start + rows * width * numbers.itemsize > path.stat().st_size:
                raise ValueError(f"{path} does not hold {name}, up to byte {end}")
            yield Table(np.memmap(path, numbers, "r", start, (rows, width)))


def _halves(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return float32 numbers rounded to bfloat16, ties to even, as their 16 bits."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
