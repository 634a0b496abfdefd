"""The journal: one append-only file of checked records, from which everything else about a run is derived.

    CHECKSUM {"kind": "journal", "format": 2, …, "seq": 0, "chain": "…"}
    CHECKSUM {"kind": "turn", …, "seq": 1, "chain": "…"}

A line is the CRC-32 of the JSON in eight hexadecimal digits, a space, the JSON, a newline. The records are one sequence, each
linked to all before it (debate/run_folder/chain.py). A record counts once it was handed to the operating system in one write;
`fsync` says when the disk has it. What a crash can leave is a torn tail: one last record without its newline, or with zero
bytes in it. It is cut and reported when the journal is next opened for writing, and passed over by readers. Anything else that
does not check is refused with its offset. A journal of format 1 has no links; it is read, and continued as it is.

Why a log and not SQLite: a debate only ever appends and only ever reads from the start or by offset, so a log with an
index built on opening does it in one write a turn, with a checksum on every record rather than on the WAL's frames
alone. It also works where SQLite's WAL does not (network file systems), and `grep` reads it.
"""

import contextlib
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from agents.atomic_file import write_atomic
from agents.errors import RunError, writing_failed
from agents.valid_text import valid_text
from debate.run_folder.chain import STATUS, Chain, Seal, unlinked
from debate.run_folder.contents import JOURNAL, open_inside

FORMAT = 2
# The first with links between records.
LINKED = 2
NAME = JOURNAL
CHECKSUM_DIGITS = 8
SYNC_INTERVAL_S = 1.0
# Bytes: a file of any size can be all zeros, which take no place on the disk.
LARGEST_RECORD = 1 << 26

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
            begin(path)
        try:
            self._file = open_inside(str(path), os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise writing_failed(path, error) from error
        self._end, self._chain = 0, Chain()
        self._is_linked = True
        self._process = os.getpid()
        self._synced = time.monotonic()

    def replay(self, seal: Seal | None = None) -> Iterator[Entry]:
        """Yield what is there, once and to its end, before anything is appended; cut a torn tail. See `JournalReader`."""
        reader = JournalReader(self.path, seal)
        yield from reader
        self.torn, self._end, self._chain, self._is_linked = reader.torn, reader.end, reader.chain, reader.is_linked
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
        self.refuse_if_elsewhere()
        line, offset = _encode(record, self._chain if self._is_linked else None), self._end
        if len(line) > LARGEST_RECORD:
            raise RunError(
                f"{self.path}: a record of {len(line):,} bytes is not written, since none above {LARGEST_RECORD:,} can be read "
                "again. Look at what was said in so many words, and allow fewer tokens"
            )
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
        self._chain.add(line)
        return offset

    def refuse_if_elsewhere(self) -> None:
        """Raise RunError where the path is no longer this file's, or this process is a fork of the one that opened it."""
        if os.getpid() != self._process:
            raise RunError(
                f"{self.path} is written by process {self._process}, and this one is a fork of it: two writers would mix their "
                "records. Nothing was written."
            )
        try:
            ours, there = os.fstat(self._file), os.stat(self.path)
        except FileNotFoundError:
            there = None
        except OSError as error:
            raise writing_failed(self.path, error) from error
        if there is None or not os.path.samestat(ours, there):
            what = "is not there any more" if there is None else "is another file now"
            raise RunError(
                f"{self.path} {what}: the folder was deleted, moved or replaced while the run was under way. Nothing more is "
                "written there. Put it back, or start again with another --out."
            )

    def read(self, offset: int) -> Record:
        """Return the record at an offset; see `JournalReader.opened`."""
        with JournalReader(self.path).opened() as at:
            return at(offset)

    def seal(self) -> Seal | None:
        """Return how far the journal goes, once the disk has it; None where the policy leaves that open, or of format 1.

        Raises:
            RunError: the disk does not take it.
        """
        if self._fsync == "no" or not self._is_linked:
            return None
        try:
            self.sync()
        except OSError as error:
            raise writing_failed(self.path, error) from error
        return self._chain.seal()

    def sync(self) -> None:
        """Wait until the disk has everything."""
        os.fdatasync(self._file)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync, unless the policy is `no`, and close."""
        try:
            try:
                if self._fsync != "no":
                    self.sync()
            finally:
                os.close(self._file)
        except OSError as error:
            raise writing_failed(self.path, error) from error


class JournalReader:
    """Reads a journal from its start, or by offset.

    When the iteration has ended, `end` is where the records end, `torn` what follows, and `chain` what the records come to.

    Args:
        path: the file.
        seal: number of records that it must have, if known.

    Raises:
        RunError: unreadable, empty, damaged before its tail, cut, or of a newer format.
    """

    def __init__(self, path: Path, seal: Seal | None = None) -> None:
        self.path, self._seal = path, seal
        self.end, self.chain, self.is_linked = 0, Chain(), True
        self.torn: TornTail | None = None

    def __iter__(self) -> Iterator[Entry]:
        self.end, self.chain = 0, Chain()
        with self._file() as file:
            yield from self._entries(file)
        if self.end == 0:
            raise self._damaged("the file is empty, and a journal has a first record from the moment it is there")
        self._check_seal(is_end=True)

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        try:
            while line := file.readline(LARGEST_RECORD + 1):
                if len(line) > LARGEST_RECORD:
                    raise self._damaged(f"more than {LARGEST_RECORD:,} bytes without an end of a line")
                yield line
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> RunError:
        return RunError(f"cannot read {self.path}: {error.strerror}")

    def more(self) -> Iterator[Entry]:
        """Yield what was appended since the last reading; a record that is not whole yet is left for the next.

        Raises:
            RunError: as when it is read from its start, or the file is shorter than before: the run was begun anew.
        """
        with self._file() as file:
            if os.fstat(file.fileno()).st_size < self.end:
                raise self._damaged("the journal ends before it, and had more records when it was last read")
            file.seek(self.end)
            yield from self._entries(file)

    def _entries(self, file: BinaryIO) -> Iterator[Entry]:
        self.torn = None
        for line in self._lines(file):
            record = _checked(line)
            if record is None:
                self.torn = self._tail(line, file)
                break
            if self.end == 0:
                self.is_linked = _checked_format(record, self.path) >= LINKED
            if self.is_linked and (complaint := self.chain.complaint(record)):
                raise self._damaged(complaint)
            if not self.is_linked and "chain" in record:
                # Without links what is missing would not be noticed.
                raise self._damaged(
                    "its records are linked, and the first says that it is of format 1, which has no links"
                )
            self._check_seal()
            yield Entry(self.end, unlinked(record))
            self.end += len(line)
            self.chain.add(line)

    def _check_seal(self, *, is_end: bool = False) -> None:
        """Refuse other records than those that were there when a session ended in order."""
        seal, found = self._seal, self.chain.length
        if seal is None or not self.is_linked:
            return
        if found == seal.records and self.chain.digest != seal.chain:
            raise self._damaged(f"the {found} records before it are not those of which {STATUS} says the checksum")
        if is_end and found < seal.records:
            raise self._damaged(
                f"the journal ends there with {found} records, and {STATUS} says that there were {seal.records}"
            )

    def _damaged(self, reason: str) -> RunError:
        return RunError(
            f"{self.path} is damaged at byte {self.end}: {reason}. Nothing was changed. Restore the file from a copy, or start "
            "again with another --out."
        )

    @contextlib.contextmanager
    def opened(self) -> Iterator[Callable[[int], Record]]:
        """Open the journal and yield what returns the record at an offset.

        Raises:
            RunError: unreadable, or the record there does not check.
        """
        with self._file() as file:

            def at(offset: int) -> Record:
                try:
                    file.seek(offset)
                    record = _checked(file.readline(LARGEST_RECORD + 1))
                except OSError as error:
                    raise self._unreadable(error) from error
                if record is None:
                    raise RunError(
                        f"{self.path} is damaged at byte {offset}: the checksum of the record there does not match"
                    )
                return unlinked(record)

            yield at

    def _file(self) -> BinaryIO:
        try:
            return open(self.path, "rb", opener=open_inside)
        except OSError as error:
            raise self._unreadable(error) from error

    def _tail(self, line: bytes, file: BinaryIO) -> TornTail:
        """Return the torn tail that begins with a line, or refuse it as damage."""
        try:
            tail = line + file.read(LARGEST_RECORD)
        except OSError as error:
            raise self._unreadable(error) from error
        if len(tail) >= LARGEST_RECORD:
            raise self._damaged(f"more than {LARGEST_RECORD:,} bytes do not check")
        # Zero bytes part records as newlines do: one in place of a newline would hide the next record too.
        sound = [_checked(piece + b"\n") is not None for piece in re.split(rb"[\n\0]+", tail) if piece]
        # The first of them alone may be whole: all but its newline was written.
        if (
            any(sound[1:])
            or (any(sound) and len(sound) > 1)
            or (line.endswith(b"\n") and b"\0" not in line)
            or self.end == 0
        ):
            raise self._damaged("the checksum of the record there does not match")
        return TornTail(self.end, len(tail))


def _encode(record: Mapping[str, Any], chain: Chain | None) -> bytes:
    """Return the line of a record, linked to those before it where there is a chain."""
    # An error may repeat any words.
    body = valid_text(json.dumps(record, ensure_ascii=False, separators=(",", ":"))).encode()
    if chain is not None:
        body = chain.linked(body)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _checked(line: bytes) -> Record | None:
    """Return the record of a whole and sound line; None for any other."""
    body = line[CHECKSUM_DIGITS + 1 : -1]
    if not line.endswith(b"\n") or line[: CHECKSUM_DIGITS + 1] != b"%08x " % zlib.crc32(body):
        return None
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("kind"), str) else None


def _checked_format(record: Record, path: Path) -> int:
    """Return the format that a journal's first record says."""
    number = record.get("format")
    if record["kind"] != "journal" or type(number) is not int:
        raise RunError(f"{path} is not a journal: its first record is a {record['kind'][:40]!r}")
    if number > FORMAT:
        raise RunError(
            f"{path} is of format {number}, written by cipher-debate {record.get('package', '?')}; this version "
            f"reads formats up to {FORMAT}. Nothing was changed. Upgrade cipher-debate to read or continue it."
        )
    return number


def begin(path: Path) -> None:
    """Write a journal of its header alone, in place of one that is there; it is never there without one."""
    from importlib.metadata import version

    header = {"kind": "journal", "format": FORMAT, "package": version("cipher-debate")}
    write_atomic(path, _encode(header, Chain()), durable=True)
