"""Targets: files that come from elsewhere. Messages, journals, run folders, questions, responses."""

import gzip
import io
import json
import random
import shutil
import zlib
from contextlib import closing
from pathlib import Path

from fuzz.mutation import by_value, in_a_line
from fuzz.target import Target, kind_and_rest
from safetensors.torch import load as load_tensors
from support.fitted import CIPHER, TEXT, fitted, parts

from agents.errors import DebateError, MessageError, RunError, TaskError
from agents.message_file import from_bytes, to_bytes
from debate.run_folder.activity import Activity
from debate.run_folder.chain import Chain
from debate.run_folder.journal import Journal, JournalReader
from debate.run_folder.message_store import MessageStore
from debate.run_folder.reader import RunReader
from debate.run_folder.run_state import RunState
from debate.run_folder.runs import list_runs
from debate.run_folder.status import status_of
from debate.run_folder.turn_record import read_turn
from evals.analysis.run_record import read_run
from evals.datasets.rows import read_rows
from evals.responses import Tally, score_file
from evals.task import create_task

OLD_RUN = Path(__file__).resolve().parents[1] / "regression" / "old_run"


def _header_changed(blob: bytes, chance: random.Random) -> bytes:
    """Return a message with a changed header, its digest made to fit."""
    _, header, _ = parts(blob)
    changed = json.loads(by_value()(json.dumps(header).encode(), chance))
    return fitted(changed, load_tensors(blob))


def _tensors_changed(blob: bytes, chance: random.Random) -> bytes:
    """Return a message with other bytes in its tensors, its digest made to fit."""
    _, header, tensors = parts(blob)
    raw = bytearray(tensors)
    for _ in range(chance.randrange(1, 5)):
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    length = len(blob) - len(tensors)
    return fitted(header, load_tensors(blob[:length] + bytes(raw)))


class Messages(Target):
    """Message files: a message in its one form, or a MessageError."""

    name, documented, share = "messages", (MessageError,), 12.0
    changes = (_header_changed, _tensors_changed)

    def seeds(self) -> list[bytes]:
        return [to_bytes(TEXT), to_bytes(CIPHER)]

    def read(self, blob: bytes) -> None:
        message = from_bytes(blob)
        assert to_bytes(message) == blob, "another form of a message was taken"


def linked(blob: bytes) -> bytes:
    """Return the lines of a journal with numbers, links and checksums that fit."""
    chain, lines = Chain(), []
    for line in blob.split(b"\n"):
        body = line[9:]
        if not body.startswith(b"{"):
            lines.append(line)
            continue
        try:
            record = json.loads(body)
            body = json.dumps({key: value for key, value in record.items() if key not in ("seq", "chain")}).encode()
        except (ValueError, RecursionError, AttributeError):
            pass
        body = chain.linked(body)
        lines.append(b"%08x %s" % (zlib.crc32(body), body))
        chain.add(lines[-1] + b"\n")
    return b"\n".join(lines)


def _record_changed(blob: bytes, chance: random.Random) -> bytes:
    """Return a journal with a changed record, sound again."""
    changed = in_a_line(lambda line, draw: line[:9] + by_value()(line[9:], draw))(blob, chance)
    return linked(changed)


def _records_moved(blob: bytes, chance: random.Random) -> bytes:
    """Return a journal with records left out, doubled or moved, sound again."""
    lines = blob.split(b"\n")
    for _ in range(chance.randrange(1, 4)):
        line = lines.pop(chance.randrange(len(lines)))
        for _ in range(chance.randrange(3)):
            lines.insert(chance.randrange(len(lines) + 1), line)
    return linked(b"\n".join(lines))


class Journals(Target):
    """A journal read, followed while it grows, and gone on with."""

    name, documented, share = "journals", (RunError, MessageError), 3.0
    changes = (_record_changed, _records_moved)

    def seeds(self) -> list[bytes]:
        old = (OLD_RUN / "journal.log").read_bytes()
        header = b'00000000 {"kind":"journal","format":2,"package":"0"}\n'
        return [old, linked(header + b"\n".join(old.split(b"\n")[1:])), linked(header)]

    def read(self, blob: bytes) -> None:
        path = self.scratch / "journal.log"
        path.write_bytes(blob)
        reader, activity = JournalReader(path), Activity()
        state = RunState(activity)
        state.replay(reader)
        activity.pace()
        for row in state.results.values():
            row.as_json()
        if not (self.scratch / "messages").exists():
            shutil.copytree(OLD_RUN / "messages", self.scratch / "messages")
        messages = MessageStore(self.scratch / "messages")
        with reader.opened() as at:
            for method in state.methods.values():
                for debate in method.debates.values():
                    for turn in debate.turns.values():
                        read_turn(at(turn.offset), messages)
        if state.config is not None:
            state.table()
        with closing(Journal(path, fsync="no")) as journal:
            first = [entry.record for entry in journal.replay()]
            offset = journal.append({"kind": "session", "t": 0.0})
            assert journal.read(offset) == {"kind": "session", "t": 0.0}
        again = [entry.record for entry in JournalReader(path)]
        assert again == [*first, {"kind": "session", "t": 0.0}], "what was appended changed what was there"


class RunFolders(Target):
    """run.json, results.json and what else lies in a run folder, one of them changed."""

    name, documented, share = "run_folders", (DebateError,), 0.08
    files = (
        "run.json",
        "results.json",
        "samples.jsonl",
        "config.yaml",
        "cipher/config.yaml",
        "energy.json",
        "label_tokens.json",
        "journal.log",
    )
    changes = tuple(
        lambda blob, chance, change=change: blob[:1] + change(blob[1:], chance)
        for change in (by_value(), in_a_line(by_value()), _record_changed)
    )

    def seeds(self) -> list[bytes]:
        found = []
        for place, name in enumerate(self.files):
            file = OLD_RUN / name
            found.append(bytes([place]) + (file.read_bytes() if file.is_file() else b"{}"))
        return found

    def read(self, blob: bytes) -> None:
        run = self.scratch / "runs" / "run"
        if not run.exists():
            shutil.copytree(OLD_RUN, run)
        place, content = kind_and_rest(blob, len(self.files))
        changed, original = run / self.files[place], OLD_RUN / self.files[place]
        changed.write_bytes(content)
        try:
            # A list of runs has a line for a damaged one.
            assert len(list_runs(run.parent)) == 1
            status_of(run)
            for method in RunReader(run).methods:
                list(RunReader(run).debates(method))
            read_run(run)
        finally:
            if original.is_file():
                shutil.copy2(original, changed)
            else:
                changed.unlink()


QUESTIONS = (
    b'{"id": "a", "question": "1+1?", "answer": "2"}\n{"id": "b", "question": "2+2?", "answer": 4, "image": "", "audio": null}\n',
    b'[{"question": "Which?", "options": ["x", "y"], "answer": "B"}]',
    b'question,answer\n1+1?,2\n"two\nlines",3\n',
    b"question\tanswer\tchoices\nq\tx\tx|y\n",
    b'{"question": "q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answer": "A"}\n',
)


def _parquet() -> bytes:
    import pyarrow
    from pyarrow.parquet import write_table

    file = io.BytesIO()
    rows = [
        {"question": "1+1?", "answer": "2", "n": 1, "more": [1, 2]},
        {"question": "2?", "answer": "3", "n": 2, "more": []},
    ]
    write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()


class Questions(Target):
    """Files of questions: JSON lines, JSON, CSV, TSV, gzipped JSON lines and CSV, and the scorings."""

    name, documented, share = "questions", (DebateError,), 2.0
    kinds = (".jsonl", ".json", ".csv", ".tsv", ".jsonl.gz", ".csv.gz")
    scorings = ("number", "choice", "mathematics", "text", "contains", "regex")
    pieces = (
        b"question",
        b"answer",
        b"options",
        b"choices",
        b'"',
        b",",
        b"\t",
        b"|",
        b"####",
        b"(",
        b"[a-",
        b"\\boxed{",
        b"(A) ",
    )
    changes = tuple(
        lambda blob, chance, change=change: blob[:2] + change(blob[2:], chance)
        for change in (by_value(), in_a_line(by_value()))
    )

    def seeds(self) -> list[bytes]:
        places = [
            (0, 0, 0),
            (1, 1, 1),
            (2, 3, 2),
            (3, 1, 3),
            (0, 4, 0),
            (0, 5, 0),
            (0, 2, 0),
            (4, 0, 0),
            (5, 3, 2),
            (0, 1, 4),
        ]
        return [bytes([kind, scoring]) + QUESTIONS[text] for kind, scoring, text in places]

    def read(self, blob: bytes) -> None:
        kind, rest = kind_and_rest(blob, len(self.kinds))
        scoring, content = kind_and_rest(rest, len(self.scorings))
        path = self.scratch / f"questions{self.kinds[kind]}"
        path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
        loaded = create_task(f"file:{self.scorings[scoring]}", data=path).load()
        assert len({sample.id for sample in loaded.samples}) == len(loaded.samples)


class Tables(Target):
    """Parquet and gzip as they come: their bytes, not what is in them."""

    name, documented, share = "tables", (TaskError,), 1.5

    def seeds(self) -> list[bytes]:
        return [b"\0" + _parquet(), b"\1" + gzip.compress(QUESTIONS[0])]

    def read(self, blob: bytes) -> None:
        kind, content = kind_and_rest(blob, 2)
        path = self.scratch / ("table.parquet", "table.jsonl.gz")[kind]
        path.write_bytes(content)
        list(read_rows(path))


class Responses(Target):
    """Files of responses to be scored, lm-evaluation-harness's samples among them."""

    name, documented, share = "responses", (DebateError,), 1.0
    tasks = ("gsm8k", "mmlu", "strategyqa", "file:text", "file:contains")
    pieces = (b'"target"', b'"response"', b'"options"', b'"doc"', b'"resps"', b"The answer is ", b"\\boxed{")
    changes = (lambda blob, chance: blob[:1] + in_a_line(by_value())(blob[1:], chance),)

    def seeds(self) -> list[bytes]:
        answers = ("2", "B", "Yes", "two", "two")
        return [
            bytes([place])
            + b"".join(
                json.dumps({"target": answer, "response": said + answer, "id": said, "options": ["1", "2"]}).encode()
                + b"\n"
                for said in ("The answer is ", "")
            )
            for place, answer in enumerate(answers)
        ]

    def read(self, blob: bytes) -> None:
        place, content = kind_and_rest(blob, len(self.tasks))
        path = self.scratch / "responses.jsonl"
        path.write_bytes(content)
        verdicts = score_file(_task(self.tasks[place]), path)
        assert Tally.of(verdicts).rows_in == len(verdicts)


_TASKS: dict[str, object] = {}


def _task(name: str):
    if name not in _TASKS:
        # The rows come from the file of responses; a task of one's own has to have questions somewhere.
        _TASKS[name] = create_task(name)
    return _TASKS[name]
