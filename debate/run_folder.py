"""A run on disk: the journal, which is the run, and what is derived from it.

    RUN/journal.log                      what was decided, record by record (debate/journal.py)
    RUN/messages/DI/DIGEST.safetensors   the CIPHER messages, by content
    RUN/config.yaml                      the resolved config
    RUN/run.json                         status, who writes it, versions, model fingerprints
    RUN/log.jsonl                        events, for people
    RUN/lock                             held by the one process that writes
    derived, and rebuilt by `debate report`:
    RUN/results.json                     the table
    RUN/METHOD/transcript.jsonl          turns and decisions in the order of questions and plan; no times
    RUN/METHOD/timings.jsonl             what the same turns took

Opening the folder of an earlier run with the same config goes on with it: a turn that is in the journal is never
taken again.
"""

import asyncio
import contextlib
import difflib
import json
import os
import platform
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from agents.errors import DebateError, MessageError, RunError, writing_failed
from agents.fingerprint import ModelFingerprint
from debate import journal
from debate.blobs import Blobs
from debate.config import DebateConfig, to_yaml
from debate.decision import Decision
from debate.journal import Journal, Record, Scan
from debate.log import Log
from debate.protocol import TurnKey
from debate.results import MethodResult, Results
from debate.transcript import Question, Transcript, Turn
from debate.turn_record import Cost, read_turn, turn_key, turn_record

FORMAT = 2
LOCK = "lock"
LOG = "log.jsonl"
# Its presence asks the writing process to stop.
CANCEL = "cancel"
MESSAGES = "messages"
# What may lie in a folder that a run was begun in but whose journal was not yet.
BEGUN = {LOCK, LOG, CANCEL, "config.yaml", "run.json"}
# `debate status` takes the lock for an instant to see whether anybody holds it.
LOCK_PATIENCE_S = 0.5


class RunFolder:
    """The folder of one run, open for writing by this process alone; as a context manager it notes how the run ended.

    Args:
        path: where; made if need be. The folder of an earlier run with the same config is continued.
        config: what is run. Its `execution` may differ from the earlier run's: it changes no result.
        asked: what else decides the run's results: methods, limit, data.
        overwrite: delete an earlier run there.

    Raises:
        RunError: of another config, written to by another process, damaged, or not a run.
    """

    def __init__(
        self, path: Path, config: DebateConfig, *, asked: Mapping[str, Any] | None = None, overwrite: bool = False
    ) -> None:
        self.path, self.config = path, config
        self.results = Results()
        self.warnings: list[str] = []
        self._methods: dict[str, MethodJournal] = {}
        self._models: dict[str, ModelFingerprint] = {}
        self._refuse_strangers(overwrite)
        with contextlib.ExitStack() as opened:
            lock = self._locked()
            opened.callback(lock.release)
            if overwrite:
                self._clear()
            (path / CANCEL).unlink(missing_ok=True)
            self.log = Log(path / LOG)
            opened.callback(self.log.close)
            fsync = config.execution.fsync
            self._journal = Journal(path / journal.NAME, fsync=fsync)
            opened.callback(lambda: self._journal.close())
            self.blobs = Blobs(path / MESSAGES, durable=fsync == "always")
            self._replay({**config.model_dump(mode="json", by_alias=True), "asked": dict(asked or {})})
            self._write("config.yaml", to_yaml(config))
            self.write_status("running", {})
            # All is well: what was opened stays open until `close`.
            self._opened = opened.pop_all()

    def _refuse_strangers(self, overwrite: bool) -> None:
        path = self.path
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} exists and is not a run; nothing was written. Choose another folder with --out.")
        if not path.exists() or (path / journal.NAME).exists():
            return
        if (path / "run.json").exists() and any(path.glob("*/transcript.jsonl")):
            if overwrite:
                return
            raise RunError(
                f"{path} holds a run of an earlier version, which kept no journal and cannot be continued. Choose another "
                "folder with --out, or pass --overwrite."
            )
        if any(file.name not in BEGUN and not file.name.endswith(".part") for file in path.iterdir()):
            raise RunError(f"{path} exists and is not a run; nothing was written. Choose another folder with --out.")

    def _locked(self) -> FileLock:
        lock = FileLock(self.path / LOCK, timeout=LOCK_PATIENCE_S, thread_local=False)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(poll_interval=0.05)
        except Timeout as error:
            raise RunError(
                f"{self.path} is being written by another process ({_holder(self.path)}). Wait for it, stop it with "
                f"`debate cancel {self.path}`, or choose another folder with --out."
            ) from error
        except OSError as error:
            raise writing_failed(self.path, error) from error
        return lock

    def _clear(self) -> None:
        for file in self.path.iterdir():
            if file.name != LOCK:
                shutil.rmtree(file) if file.is_dir() else file.unlink()

    def _replay(self, plan: Record) -> None:
        """Read what is there; begin the run, or refuse to go on with another one."""
        digests: set[str] = set()
        earlier: Record | None = None
        for entry in self._journal.replay():
            record = entry.record
            if record["kind"] == "run":
                earlier = record["config"]
            if record["kind"] == "models":
                self._models |= {name: ModelFingerprint(**model) for name, model in record["models"].items()}
            if record["kind"] == "turn" and record["encoder"] is not None:
                digests.add(record["digest"])
            self.results.add(record)
            if "method" in record:
                self.method(record["method"]).note(record, entry.offset)
        if earlier is not None and (change := _change(earlier, plan, self.path)):
            if self.is_resumed:
                raise RunError(change)
            # Nothing was said under the other config, which may have been a mistake: there is nothing to lose.
            self._begin_anew()
            earlier = None
        if torn := self._journal.torn:
            self.warnings.append(
                f"{self._journal.path}: a torn record of {torn.num_bytes} bytes was cut off at byte {torn.offset}; the "
                "turn is taken again"
            )
        for warning in self.warnings:
            self.log.event(warning, "warning")
        self.blobs.keep(digests)
        if earlier is None:
            self.append({"kind": "run", "config": plan})
        packages = {name: version(name) for name in ("cipher-debate", "torch", "transformers")}
        holder = {"pid": os.getpid(), "host": socket.gethostname()}
        self.append({"kind": "session", **holder, "python": platform.python_version(), "packages": packages})

    def _begin_anew(self) -> None:
        path = self._journal.path
        self._journal.close()
        path.unlink()
        self._journal = Journal(path, fsync=self.config.execution.fsync)
        list(self._journal.replay())
        self.results, self._methods, self._models = Results(), {}, {}

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier session said or gave up anything."""
        return any(row.turns or row.total for row in self.results.rows.values())

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is not None:
                interrupted = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
                # If the disk still takes it; the error under way is the one to report.
                with contextlib.suppress(DebateError):
                    reason = str(error) or type(error).__name__
                    self.write_status("interrupted" if interrupted else "failed", {"error": reason})
        finally:
            self.close()

    def close(self) -> None:
        """Close the journal and let another process write."""
        self._opened.close()

    def append(self, record: Record) -> int:
        """Write a record to the journal and add it to the results; return its offset."""
        stamped = {**record, "t": round(time.time(), 3)}
        offset = self._journal.append(stamped)
        self.results.add(stamped)
        self.log.record(stamped)
        return offset

    def note_models(self, models: Mapping[str, ModelFingerprint]) -> None:
        """Write down which models speak; refuse others than an earlier session's.

        Raises:
            RunError: a name stands for other weights or another tokenizer than before.
        """
        for name, now in models.items():
            before = self._models.get(name, now)
            if before != now:
                raise RunError(
                    f"{self.path} was begun with {before}; {name} is now {now}. Its turns would be of two models: use the same "
                    "weights, another --out, or --overwrite."
                )
        self.append({"kind": "models", "models": {name: vars(model) for name, model in models.items()}})

    def write_status(self, status: str, facts: Mapping[str, Any]) -> None:
        """Write run.json: `running`, `finished`, `interrupted` or `failed`, and facts about the run."""
        holder = {"pid": os.getpid(), "host": socket.gethostname()}
        if status != "running":
            self.log.event(status, "error" if status == "failed" else "info", error=facts.get("error"))
        self._write("run.json", json.dumps({"format": FORMAT, "status": status, **holder, **facts}, indent=1) + "\n")

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write what is derived, and that the run is finished."""
        self.write_results()
        for name in self._methods:
            write_view(self.path / name)
        self.write_status("finished", facts)

    def write_results(self) -> Path:
        """Write results.json and return its path."""
        return self._write("results.json", json.dumps(self.results.table(), indent=1) + "\n")

    def method(self, name: str) -> "MethodJournal":
        """Return the journal of one method."""
        if name not in self._methods:
            self._methods[name] = MethodJournal(self, name)
        return self._methods[name]

    def read(self, offset: int) -> Record:
        """Return the record at an offset of the journal."""
        return self._journal.read(offset)

    def _write(self, name: str, text: str) -> Path:
        return _write(self.path / name, text)


@dataclass(frozen=True)
class Strikes:
    """How often engines failed over a question with nothing else to do, and why the last time."""

    count: int = 0
    last: str = ""

    def after(self, error: str, *, alone: bool) -> "Strikes":
        """Return the strikes after one more failure, which counts if the engine was alone with the question."""
        return Strikes(self.count + 1, error) if alone else self


class MethodJournal:
    """The journal of a run as one method sees it: which questions were begun, what was said, what is decided."""

    def __init__(self, folder: RunFolder, name: str) -> None:
        self._folder, self.name = folder, name
        self._texts: dict[str, str] = {}
        self._said: dict[str, dict[TurnKey, int]] = {}
        self._over: set[str] = set()
        self._strikes: dict[str, Strikes] = {}

    def note(self, record: Record, offset: int) -> None:
        """Take up a record that is in the journal already."""
        question = record.get("question")
        if question is None:
            return
        match record["kind"]:
            case "question":
                self._texts[question] = record["text"]
                self._said[question] = {}
            case "turn":
                self._said[question][turn_key(record)] = offset
            case "fault":
                self._strikes[question] = self.strikes(question).after(record["error"], alone=record["alone"])
            case "decision" | "failed":
                self._over.add(question)
                self._said.pop(question, None)
                self._texts.pop(question, None)

    def is_over(self, question: Question) -> bool:
        """Whether a question is decided or given up."""
        return question.id in self._over

    def open(self, total: int, planned_turns: int) -> None:
        """Write down what the method is about to do, once a run."""
        row = self._folder.results.rows.get(self.name)
        if row is None or not row.asked:
            self._append({"kind": "method", "total": total, "planned_turns": planned_turns})

    def begin(self, question: Question) -> dict[TurnKey, Turn]:
        """Write down that a debate begins; return what was said of it before an interruption.

        Raises:
            RunError: the id stands for another question than before, or what was said cannot be read.
        """
        text = self._texts.get(question.id)
        if text is None:
            self._texts[question.id] = question.text
            self._said[question.id] = {}
            self._append({"kind": "question", "question": question.id, "text": question.text})
        elif text != question.text:
            raise RunError(
                f"{self._folder.path}: question {question.id} was {text!r} and is now {question.text!r}. The questions of a "
                "run must not change: use the same data, another --out, or --overwrite."
            )
        said: dict[TurnKey, Turn] = {}
        for key, offset in self._said[question.id].items():
            record = self._folder.read(offset)
            try:
                said[key] = read_turn(record, self._folder.blobs)
            except MessageError as error:
                self._folder.warnings.append(f"{error}; the turn is taken again")
        return said

    def strikes(self, question: str) -> Strikes:
        """Return how often an engine failed that had nothing but this question, in this session and before."""
        return self._strikes.get(question, Strikes())

    def append_turn(self, question: Question, turn: Turn, cost: Cost) -> None:
        """Write a turn; of a CIPHER message the vectors first, so that a record never names a missing file.

        Raises:
            RunError: the disk does not take it, or the turn was said before in other words.
        """
        if turn.message.is_cipher:
            self._folder.blobs.put(turn.message)
        said = self._said[question.id]
        if turn.key in said:
            # Its vectors were lost to a power cut; the record was not.
            self._check_repeated(question, turn, said[turn.key])
            return
        said[turn.key] = self._append({"kind": "turn", "question": question.id, **turn_record(turn, cost)})

    def append_fault(self, question: Question, turn: TurnKey, engine: str, error: str, *, alone: bool) -> None:
        """Write down that an engine failed over a turn; `alone`: it had nothing else to do."""
        self._strikes[question.id] = self.strikes(question.id).after(error, alone=alone)
        identity = {"question": question.id, "round": turn.round, "agent": turn.agent}
        self._append({"kind": "fault", **identity, "engine": engine, "alone": alone, "error": error})

    def append_decision(self, question: Question, decision: Decision, score: Mapping[str, Any]) -> None:
        """Write what a debate came to, with the score where there is one."""
        self._end({"kind": "decision", "question": question.id, "text": question.text, **vars(decision), **score})

    def append_failed(self, question: Question, reason: str) -> None:
        """Write that a debate was given up, and why."""
        self._end({"kind": "failed", "question": question.id, "text": question.text, "reason": reason})

    @property
    def result(self) -> MethodResult:
        """The method's row of the table, as far as it got."""
        return self._folder.results.rows[self.name]

    def _check_repeated(self, question: Question, turn: Turn, offset: int) -> None:
        before = self._folder.read(offset)["digest"]
        if before != turn.message.digest:
            raise RunError(
                f"{self._folder.path}: {turn.key.agent}'s round {turn.key.round} on {question.id} was lost, and taken again it "
                f"is another message ({turn.message.digest[:12]}, not {before[:12]}). Start again with another --out."
            )

    def _end(self, record: Record) -> None:
        self._append(record)
        self._over.add(record["question"])
        self._said.pop(record["question"], None)
        self._texts.pop(record["question"], None)

    def _append(self, record: Record) -> int:
        return self._folder.append({"kind": record["kind"], "method": self.name, **record})


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
    run, blobs = path.parent, Blobs(path.parent / MESSAGES)
    file = run / journal.NAME
    debates: dict[str, list[int]] = {}
    ends: dict[str, int] = {}
    texts: dict[str, str] = {}
    for entry in Scan(file):
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
            turns = [read_turn(at(offset), blobs) for offset in offsets]
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
    names = {entry.record["method"] for entry in Scan(path / journal.NAME) if "method" in entry.record}
    return [path / name for name in sorted(names)]


def read_results(path: Path) -> Results:
    """Return the results of a run, summed up from its journal.

    Raises:
        RunError: the folder is not a run, or its journal is damaged.
    """
    require_run(path)
    results = Results()
    for entry in Scan(path / journal.NAME):
        results.add(entry.record)
    return results


def rebuild(path: Path) -> Path:
    """Write everything that is derived from a run's journal again, and return the path of results.json.

    Raises:
        RunError: the folder is not a run, its journal is damaged, or the disk does not take it.
    """
    results = read_results(path)
    for name in results.rows:
        write_view(path / name)
    return _write(path / "results.json", json.dumps(results.table(), indent=1) + "\n")


def write_view(path: Path) -> None:
    """Write transcript.jsonl and timings.jsonl of a method from the journal: turns and decisions, without their times."""
    file = path.parent / journal.NAME
    offsets: dict[str, list[tuple[int, int, int]]] = {}
    last = 1 << 62
    for entry in Scan(file):
        record = entry.record
        if record.get("method") == path.name and record["kind"] in ("question", "turn", "decision", "failed"):
            order = (record["round"], record["place"]) if record["kind"] == "turn" else (last, 0)
            places = offsets.setdefault(record["question"], [])
            if record["kind"] != "question":
                places.append((*order, entry.offset))
    with file.open("rb") as lines, _aside(path / "transcript.jsonl") as turns, _aside(path / "timings.jsonl") as times:
        for places in offsets.values():
            for *_, offset in sorted(places):
                lines.seek(offset)
                record = journal.decode(lines.readline(), file, offset)
                cost = record.pop("cost", None)
                record = {key: value for key, value in record.items() if key not in ("t", "method")}
                turns.write(json.dumps(record, ensure_ascii=False) + "\n")
                if cost is not None:
                    identity = {key: record[key] for key in ("question", "agent", "round")}
                    times.write(json.dumps({**identity, **cost}) + "\n")


def is_being_written(path: Path) -> bool:
    """Whether a process holds a run's lock."""
    lock = FileLock(path / LOCK, timeout=0)
    try:
        with lock:
            return False
    except Timeout:
        return True
    except OSError as error:
        raise RunError(f"cannot tell whether {path} is being written: {error.strerror}") from error


def _change(earlier: Record, now: Record, path: Path) -> str:
    """Return a sentence with the diff of the YAML where two plans differ in what decides results; else nothing."""
    texts = [
        yaml.safe_dump({key: value for key, value in plan.items() if key != "execution"}, sort_keys=False)
        for plan in (earlier, now)
    ]
    if texts[0] == texts[1]:
        return ""
    diff = difflib.unified_diff(
        texts[0].splitlines(), texts[1].splitlines(), f"{path} was begun with", "now asked for", lineterm="", n=1
    )
    return (
        f"{path} holds a run of another config:\n"
        + "\n".join(diff)
        + "\nRun it with the config that it was begun with, choose another folder with --out, or pass --overwrite."
    )


def _holder(path: Path) -> str:
    try:
        facts = json.loads((path / "run.json").read_text())
        return f"process {facts['pid']} on {facts['host']}"
    except (OSError, ValueError, KeyError):
        return "it has only begun"


def _write(path: Path, text: str) -> Path:
    with _aside(path) as file:
        file.write(text)
    return path


@contextlib.contextmanager
def _aside(path: Path) -> Iterator[Any]:
    """Open a file to write beside its place, and rename it there when it is complete."""
    aside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            yield file
        aside.replace(path)
    except OSError as error:
        raise writing_failed(path, error) from error
