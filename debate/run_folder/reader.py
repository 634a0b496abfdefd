"""A run read back: its debates, its results, and the files that are derived from its journal."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from agents.atomic_file import open_atomic, write_json
from agents.errors import RunError
from agents.question import Question
from debate.run_folder import journal
from debate.run_folder.journal import JournalReader, Record
from debate.run_folder.message_store import MESSAGES, MessageStore
from debate.run_folder.results import Results
from debate.run_folder.turn_record import read_turn
from debate.transcript import Transcript


@dataclass(frozen=True)
class DebateRecord:
    """One debate read back: its transcript, and how it ended if it did.

    Fields:
        transcript: question and turns.
        decision: the decision record, score included; None where there is none.
        failure: why the debate was given up; None where it was not.
    """

    transcript: Transcript
    decision: dict[str, Any] | None
    failure: str | None = None


def read_method(path: Path) -> Iterator[DebateRecord]:
    """Yield the debates of a method of a run, RUN/METHOD, in the order of the questions. A torn last record is left out.

    The run may be written to meanwhile.

    Raises:
        RunError: not a run, or a damaged journal.
        MessageError: a message that is missing or damaged.
    """
    run, messages = path.parent, MessageStore(path.parent / MESSAGES)
    file = run / journal.NAME
    debates: dict[str, list[int]] = {}
    ends: dict[str, int] = {}
    texts: dict[str, str] = {}
    for entry in JournalReader(file):
        record = entry.record
        if record.get("method") != path.name:
            continue
        match record["kind"]:
            case "question":
                debates[record["question"]] = []
                texts[record["question"]] = record["text"]
            case "turn":
                debates[record["question"]].append(entry.offset)
            case "decision" | "failed":
                ends[record["question"]] = entry.offset
    with file.open("rb") as lines:

        def at(offset: int) -> Record:
            lines.seek(offset)
            return journal.decode(lines.readline(), file, offset)

        for identity, offsets in debates.items():
            turns = [read_turn(at(offset), messages) for offset in offsets]
            end = at(ends[identity]) if identity in ends else None
            failed = end is not None and end["kind"] == "failed"
            yield DebateRecord(
                Transcript.of(Question(identity, texts[identity]), turns),
                None if failed else end,
                str(end["reason"]) if end is not None and failed else None,
            )


def require_run(path: Path) -> None:
    """Raise RunError unless a folder is a run."""
    if not (path / journal.NAME).is_file():
        raise RunError(f"{path} is not a run: it has no {journal.NAME}")


def methods_in(path: Path) -> list[Path]:
    """Return the method folders of a run; of a run under way those that have begun.

    Raises:
        RunError: the folder is not a run.
    """
    require_run(path)
    names = {entry.record["method"] for entry in JournalReader(path / journal.NAME) if "method" in entry.record}
    return [path / name for name in sorted(names)]


def read_results(path: Path) -> Results:
    """Return the results of a run, summed up from its journal.

    Raises:
        RunError: the folder is not a run, or its journal is damaged.
    """
    require_run(path)
    results = Results()
    for entry in JournalReader(path / journal.NAME):
        results.add(entry.record)
    return results


def rebuild(path: Path) -> Path:
    """Write everything that is derived from a run's journal again, and return the path of results.json.

    Raises:
        RunError: the folder is not a run, its journal is damaged, or the disk does not take it.
    """
    results = read_results(path)
    write_views(path)
    return write_json(path / "results.json", results.table())


def write_views(path: Path) -> None:
    """Write transcript.jsonl and timings.jsonl of a run's methods from its journal: turns and decisions, without their times."""
    file = path / journal.NAME
    # Method → question → (round, place, offset) of each record.
    methods: dict[str, dict[str, list[tuple[int, int, int]]]] = {}
    last = 1 << 62
    for entry in JournalReader(file):
        record = entry.record
        if "method" not in record:
            continue
        questions = methods.setdefault(record["method"], {})
        if record["kind"] in ("question", "turn", "decision", "failed"):
            order = (record["round"], record["place"]) if record["kind"] == "turn" else (last, 0)
            places = questions.setdefault(record["question"], [])
            if record["kind"] != "question":
                places.append((*order, entry.offset))
    with file.open("rb") as lines:
        for name, questions in methods.items():
            _write_view(path / name, questions.values(), lines)


def _write_view(folder: Path, questions: Iterable[list[tuple[int, int, int]]], lines: BinaryIO) -> None:
    """Write the two files of one method from the places of its records."""
    with open_atomic(folder / "transcript.jsonl") as turns, open_atomic(folder / "timings.jsonl") as times:
        for places in questions:
            for *_, offset in sorted(places):
                lines.seek(offset)
                record = journal.decode(lines.readline(), Path(lines.name), offset)
                cost = record.pop("cost", None)
                record = {key: value for key, value in record.items() if key not in ("t", "method")}
                turns.write(json.dumps(record, ensure_ascii=False) + "\n")
                if cost is not None:
                    identity = {key: record[key] for key in ("question", "agent", "round")}
                    times.write(json.dumps({**identity, **cost}) + "\n")
