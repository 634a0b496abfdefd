"""A run read back: its debates, its results, and the files that are derived from its journal."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from agents.atomic_file import open_atomic, write_json
from agents.component import is_component
from agents.errors import RunError
from agents.question import Question
from debate.run_folder import journal
from debate.run_folder.activity import Activity
from debate.run_folder.chain import read_seal
from debate.run_folder.contents import MESSAGES, refuse_all_but_files
from debate.run_folder.journal import JournalReader, Record
from debate.run_folder.message_store import MessageStore
from debate.run_folder.run_state import DebateState, MethodState, RunState
from debate.run_folder.turn_record import read_turn
from debate.transcript import Transcript, TurnKey

# Of a record: when, of which method, and by whom it is vouched for, which two runs of one config do not share.
NOT_IN_VIEWS = ("t", "method", "signature")


@dataclass(frozen=True)
class DebateRecord:
    """One debate read back: its transcript, and how it ended if it did.

    Attributes:
        transcript: question and turns.
        decision: the decision record, score included; None where there is none.
        failure: why the debate was given up; None where it was not.
        times: turn → when it was submitted and when it was said, in seconds since 1970.
    """

    transcript: Transcript
    decision: dict[str, Any] | None
    failure: str | None = None
    times: Mapping[TurnKey, tuple[float, float]] = field(default_factory=dict)


class RunReader:
    """A run read back. Its journal is replayed once, when this is made; turns and decisions are then read by their offsets.

    The run may be written to meanwhile: what is appended later is not seen. A torn last record is left out.

    Args:
        path: the run folder.
        activity: also receives what engines did.

    Attributes:
        state: state that the journal records.

    Raises:
        RunError: the folder holds no run, or its journal is damaged.
    """

    def __init__(self, path: Path, activity: Activity | None = None) -> None:
        require_run(path)
        self.path, self.state = path, RunState(activity)
        # Read before the journal, which may grow meanwhile.
        self._journal = JournalReader(path / journal.NAME, read_seal(path))
        self.state.replay(self._journal)
        for name in self.state.methods:
            if not is_component(name):
                raise RunError(f"{path}: its journal has a method {name[:80]!r}, which is no name of a folder")

    @property
    def methods(self) -> list[str]:
        """The names of the methods that have begun, sorted."""
        return sorted(self.state.methods)

    def debates(self, method: str) -> Iterator[DebateRecord]:
        """Yield the debates of a method in the order of the questions.

        Raises:
            MessageError: a message that is missing or damaged.
        """
        messages = MessageStore(self.path / MESSAGES)
        state = self.state.methods.get(method, MethodState(method))
        with self._journal.opened() as at:
            for question, debate in state.debates.items():
                records = [at(turn.offset) for turn in debate.turns.values()]
                turns = [read_turn(record, messages) for record in records]
                end = None if debate.end is None else at(debate.end)
                failed = end is not None and end["kind"] == "failed"
                yield DebateRecord(
                    Transcript.of(Question(question, debate.text), turns),
                    None if failed else end,
                    str(end["reason"]) if end is not None and failed else None,
                    {turn.key: _times(record) for turn, record in zip(turns, records, strict=True)},
                )

    def rebuild(self) -> Path:
        """Write everything that is derived from the journal again, and return the path of results.json.

        Raises:
            RunError: the run ended before it began, or the disk does not take it.
        """
        results = self.state.table()
        self.write_views()
        return write_json(self.path / "results.json", results)

    def write_views(self) -> None:
        """Write each method's transcript.jsonl and timings.jsonl: turns and decisions without their times, and what they took."""
        with self._journal.opened() as at:
            for name, method in self.state.methods.items():
                folder = self.path / name
                with open_atomic(folder / "transcript.jsonl") as turns, open_atomic(folder / "timings.jsonl") as times:
                    for record, cost in _viewed(method, at):
                        turns.write(_line(record))
                        if cost is not None:
                            identity = {key: record[key] for key in ("question", "agent", "round")}
                            times.write(json.dumps({**identity, **cost}) + "\n")

    def transcript_lines(self, method: str) -> Iterator[str]:
        """Yield the lines of a method's transcript.jsonl."""
        with self._journal.opened() as at:
            for record, _ in _viewed(self.state.methods[method], at):
                yield _line(record)

    @property
    def end(self) -> int:
        """Where the records of the journal end, in bytes."""
        return self._journal.end


def read_method(path: Path) -> Iterator[DebateRecord]:
    """Yield the debates of a method's folder, RUN/METHOD; see `RunReader`."""
    return RunReader(path.parent).debates(path.name)


def require_run(path: Path) -> None:
    """Raise RunError unless a folder is a run, without links."""
    if not (path / journal.NAME).is_file():
        beside = path.parent.glob(f"*/{journal.NAME}") if path.parent.is_dir() else ()
        known = {run.parent.name: str(run.parent) for run in beside if run.is_file()}
        meant = next((f" Did you mean {known[name]!r}?" for name in get_close_matches(path.name, known, n=1)), "")
        raise RunError(f"{path} is not a run: it has no {journal.NAME}.{meant}")
    refuse_all_but_files(path)


def _viewed(method: MethodState, at: Callable[[int], Record]) -> Iterator[tuple[Record, Any]]:
    """Yield a method's records as its transcript has them, and what each took."""
    for record in _in_order(method, at):
        cost = record.pop("cost", None)
        yield {key: value for key, value in record.items() if key not in NOT_IN_VIEWS}, cost


def _times(record: Record) -> tuple[float, float]:
    said = float(record["t"])
    return said - float(record["cost"]["seconds"]), said


def _line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _in_order(method: MethodState, at: Callable[[int], Record]) -> Iterator[Record]:
    """Yield a method's turns and decisions in the order of questions and of the protocol's plan."""
    for debate in method.debates.values():
        for offset in _offsets(debate):
            yield at(offset)


def _offsets(debate: DebateState) -> list[int]:
    turns = sorted((key.round, turn.place, turn.offset) for key, turn in debate.turns.items())
    return [offset for *_, offset in turns] + ([] if debate.end is None else [debate.end])
