"""What makes the records of a journal one sequence: each says its place, and a checksum over every byte before it.

    {"kind": "turn", …, "seq": 7, "chain": "…"}

`seq` counts from 0; `chain` is BLAKE2b, 16 bytes in hexadecimal, of the record before: of its own `chain`, as text, and its whole
line. So a record that is missing, said twice or in another's place is seen at the next one. What a cut at the border of two
records takes is seen by the seal: where a session of a run ended in order, run.json says how many records there were, and their
chain.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.ordinary_file import read_ordinary

DIGEST_BYTES = 16
# The file of a run that has the seal, and its key.
STATUS, SEAL = "run.json", "journal"
LARGEST_STATUS = 1 << 24


@dataclass(frozen=True)
class Seal:
    """How far a journal went when a session ended in order.

    Attributes:
        records: number of records.
        chain: over all of their bytes.
    """

    records: int
    chain: str


class Chain:
    """The records so far.

    Attributes:
        length: number of records.
    """

    def __init__(self) -> None:
        self.length, self._digest = 0, b"0" * (2 * DIGEST_BYTES)

    @property
    def digest(self) -> str:
        """Over all of the records' bytes, in hexadecimal."""
        return self._digest.decode()

    def linked(self, body: bytes) -> bytes:
        """Return the JSON object of a record with its place and the digest of what is before it."""
        return b'%s,"seq":%d,"chain":"%s"}' % (body[:-1], self.length, self._digest)

    def add(self, line: bytes) -> None:
        """Add the line of a record."""
        self._digest = hashlib.blake2b(self._digest + line, digest_size=DIGEST_BYTES).hexdigest().encode()
        self.length += 1

    def complaint(self, record: dict[str, Any]) -> str:
        """Return what is wrong with a record's place, in words that end a sentence; empty if it is the next one."""
        seq = record.get("seq")
        if seq != self.length:
            return f"record {self.length} is expected there, and it says that it is {seq!r}"
        if record.get("chain") != self.digest:
            return f"what is before record {self.length} is not what was before it when it was written"
        return ""

    def seal(self) -> Seal:
        """Return how far it goes."""
        return Seal(self.length, self.digest)


def unlinked(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what links it to the others."""
    record.pop("seq", None)
    record.pop("chain", None)
    return record


def read_seal(run: Path) -> Seal | None:
    """Return the seal in a run's folder; None where no session ended in order, or run.json cannot be read."""
    try:
        found = json.loads(read_ordinary(run / STATUS, most=LARGEST_STATUS))[SEAL]
        records, chain = found["records"], found["chain"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return Seal(records, chain) if type(records) is int and isinstance(chain, str) else None
