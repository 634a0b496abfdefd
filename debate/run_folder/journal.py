"""The journal: one append-only file of checked records, from which everything else about a run is derived.

    CHECKSUM {"kind": "journal", "format": 1, …}
    CHECKSUM {"kind": "turn", …}

A line is the CRC-32 of the JSON in eight hexadecimal digits, a space, the JSON, a newline. A record counts once it was
handed to the operating system in one write; `fsync` says when the disk has it. What a crash can leave is a torn tail:
a last line without its newline, or one with zero bytes in it. It is cut and reported when the journal is next opened
for writing, and passed over by readers. Anything else that does not check is refused with its offset.

Why a log and not SQLite: a debate only ever appends and only ever reads from the start or by offset, so a log with an
index built on opening does it in one write a turn, with a checksum on every record rather than on the WAL's frames
alone. It also works where SQLite's WAL does not (network file systems), and `grep` reads it.
"""

import contextlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from agents.atomic_file import write_atomic
from agents.errors import RunError, writing_failed
from debate.run_folder.contents import open_inside

FORMAT = 1
NAME = "journal.log"
CHECKSUM_DIGITS = 8
SYNC_INTERVAL_S = 1.0

Fsync = Literal["always", "everysec", "no"]
Record = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A record and the byte at which it starts."""

    offset: int
    record: Record


@dataclass(frozen=True)
class TornTail:
    """What a crash left after the last whole record."""

    offset: int
    num_bytes: int


class Journal:
    """Writes the journal of one run. Whoever opens it holds the run's lock.

    Args:
        path: the file; made with its header if it is not there.
        fsync: `always` after every record, `everysec` at most once a second and at the end, `no` never: the operating
            system decides. A killed process loses nothing under any of them; a power cut loses nothing, about a second,
            or some half a minute.

    Raises:
        RunError: damaged, of a newer format, or the disk does not take it.
    """

    def __init__(self, path: Path, *, fsync: Fsync = "everysec") -> None:
        self.path, self._fsync = path, fsync
        self.torn: TornTail | None = None
        if not path.exists():
            _create(path)
        try:
            self._file = open_inside(str(path), os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise writing_failed(path, error) from error
        self._end = 0
        self._synced = time.monotonic()

    def replay(self) -> Iterator[Entry]:
        """Yield what is there, once and to its end, before anything is appended; cut a torn tail."""
        reader = JournalReader(self.path)
        yield from reader
        self.torn, self._end = reader.torn, reader.end
        if self.torn is not None:
            try:
                os.ftruncate(self._file, self._end)
                os.fsync(self._file)
            except OSError as error:
                raise writing_failed(self.path, error) from error

    def append(self, record: Record) -> int:
        """Write a record and return its offset; when this returns, the record counts.

        Raises:
            RunError: the disk did not take it; the journal ends where it ended before.
        """
        line, offset = _encode(record), self._end
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
            self._end += len(line)
            if self._fsync == "always" or (
                self._fsync == "everysec" and time.monotonic() - self._synced >= SYNC_INTERVAL_S
            ):
                self.sync()
        except OSError as error:
            # A part of a line would be a torn tail in the middle as soon as the disk has room again.
            os.ftruncate(self._file, offset)
            self._end = offset
            raise writing_failed(self.path, error) from error
        return offset

    def read(self, offset: int) -> Record:
        """Return the record at an offset; see `JournalReader.opened`."""
        with JournalReader(self.path).opened() as at:
            return at(offset)

    def sync(self) -> None:
        """Wait until the disk has everything."""
        os.fdatasync(self._file)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync, unless the policy is `no`, and close."""
        try:
            if self._fsync != "no":
                self.sync()
        except OSError as error:
            raise writing_failed(self.path, error) from error
        finally:
            os.close(self._file)


class JournalReader:
    """Reads a journal from its start, or by offset.

    When the iteration has ended, `end` is where the records end and `torn` what follows.

    Raises:
        RunError: unreadable, damaged before its tail, or of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.end = path, 0
        self.torn: TornTail | None = None

    def __iter__(self) -> Iterator[Entry]:
        with self._file() as file:
            for line in file:
                record = _checked(line)
                if record is None:
                    self.torn = self._tail(line, file)
                    return
                if self.end == 0:
                    _check_format(record, self.path)
                yield Entry(self.end, record)
                self.end += len(line)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Callable[[int], Record]]:
        """Open the journal and yield what returns the record at an offset.

        Raises:
            RunError: unreadable, or the record there does not check.
        """
        with self._file() as file:

            def at(offset: int) -> Record:
                file.seek(offset)
                record = _checked(file.readline())
                if record is None:
                    raise RunError(
                        f"{self.path} is damaged at byte {offset}: the checksum of the record there does not match"
                    )
                return record

            yield at

    def _file(self) -> BinaryIO:
        try:
            return open(self.path, "rb", opener=open_inside)
        except OSError as error:
            raise RunError(f"cannot read {self.path}: {error.strerror}") from error

    def _tail(self, line: bytes, file: BinaryIO) -> TornTail:
        """Return the torn tail that begins with a line, or refuse it as damage."""
        rest = file.read()
        followed = any(_checked(later + b"\n") is not None for later in rest.split(b"\n"))
        if followed or (line.endswith(b"\n") and b"\0" not in line) or self.end == 0:
            raise RunError(
                f"{self.path} is damaged at byte {self.end}: the checksum of the record there does not match. Nothing was "
                "changed. Restore the file from a copy, or start again with another --out."
            )
        return TornTail(self.end, len(line) + len(rest))


def _encode(record: Mapping[str, Any]) -> bytes:
    """Return the line of a record."""
    body = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _checked(line: bytes) -> Record | None:
    """Return the record of a whole and sound line; None for any other."""
    body = line[CHECKSUM_DIGITS + 1 : -1]
    if not line.endswith(b"\n") or line[:CHECKSUM_DIGITS] != b"%08x" % zlib.crc32(body) or not body:
        return None
    record = json.loads(body)
    return record if isinstance(record, dict) else None


def _check_format(record: Record, path: Path) -> None:
    if record.get("kind") != "journal":
        raise RunError(f"{path} is not a journal: its first record is a {record.get('kind')!r}")
    if record["format"] > FORMAT:
        raise RunError(
            f"{path} is of format {record['format']}, written by cipher-debate {record.get('package', '?')}; this version "
            f"reads formats up to {FORMAT}. Nothing was changed. Upgrade cipher-debate to read or continue it."
        )


def _create(path: Path) -> None:
    """Write a journal of its header alone; it is never there without one."""
    from importlib.metadata import version

    header = {"kind": "journal", "format": FORMAT, "package": version("cipher-debate")}
    write_atomic(path, _encode(header), durable=True)
