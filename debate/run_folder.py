"""A run on disk: what was decided, written as it happens, so that what was finished survives whatever comes after.

    RUN/config.yaml                      the resolved config
    RUN/run.json                         versions, model fingerprints, status
    RUN/METHOD/transcript.jsonl          one line a turn and one a decision, in order; no times, so equal runs are equal bytes
    RUN/METHOD/timings.jsonl             seconds of the same turns
    RUN/METHOD/messages/DIGEST.safetensors   the CIPHER messages, by content
    RUN/results.json                     the table

Every line is flushed to the operating system when it is written, so it survives the process, not a power cut.
"""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from agents.backend import Usage
from agents.errors import DebateError, RunError, writing_failed
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.message_file import read_message, write_message
from debate.config import DebateConfig, to_yaml
from debate.decision import Decision
from debate.protocol import TurnKey
from debate.transcript import Question, Transcript, Turn

FORMAT = 1


class RunFolder:
    """The folder of one run, open for writing; as a context manager it notes how the run ended.

    Args:
        path: where; made if need be.
        config: what is run.
        overwrite: delete an earlier run there; without it an existing run is refused.
    """

    def __init__(self, path: Path, config: DebateConfig, *, overwrite: bool = False) -> None:
        self.path = path
        if (path / "run.json").exists():
            if not overwrite:
                raise RunError(f"{path} holds a run already. Choose another folder with --out, or pass --overwrite.")
            shutil.rmtree(path)
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path} exists and is not a run; nothing was written. Choose another folder with --out.")
        self._write("config.yaml", to_yaml(config))
        self.write_status("running", {})

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        interrupted = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
        # If the disk still takes it; the error under way is the one to report.
        with contextlib.suppress(DebateError):
            reason = str(error) or type(error).__name__
            self.write_status("interrupted" if interrupted else "failed", {"error": reason})

    def write_status(self, status: str, facts: dict[str, Any]) -> None:
        """Write run.json: `running`, `finished`, `interrupted` or `failed`, and facts about the run."""
        self._write("run.json", json.dumps({"format": FORMAT, "status": status, **facts}, indent=1) + "\n")

    def write_results(self, results: dict[str, Any]) -> Path:
        """Write results.json and return its path."""
        return self._write("results.json", json.dumps(results, indent=1) + "\n")

    def method(self, name: str) -> "MethodFolder":
        """Return the open folder of one method."""
        return MethodFolder(self.path / name)

    def _write(self, name: str, text: str) -> Path:
        path = self.path / name
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{name}.part")
            aside.write_text(text)
            aside.replace(path)
        except OSError as error:
            raise writing_failed(path, error) from error
        return path


class MethodFolder:
    """Appends turns and decisions of one method; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            (path / "messages").mkdir(parents=True, exist_ok=True)
            self._transcript = (path / "transcript.jsonl").open("a", encoding="utf-8")
            self._timings = (path / "timings.jsonl").open("a", encoding="utf-8")
        except OSError as error:
            raise writing_failed(path, error) from error

    def append_turn(self, question: Question, turn: Turn, seconds: float) -> None:
        """Write a turn; of a CIPHER message the vectors first, so that a line never names a missing file."""
        if turn.message.is_cipher:
            write_message(turn.message, self.path / "messages" / f"{turn.message.digest}.safetensors")
        identity = {"question": question.id, "agent": turn.key.agent, "round": turn.key.round}
        self._append(self._transcript, {"kind": "turn", **identity, **_turn_fields(turn)})
        self._append(self._timings, {**identity, "seconds": round(seconds, 4)})

    def append_decision(self, question: Question, decision: Decision, score: dict[str, Any]) -> None:
        """Write what a debate came to, with the score where there is one."""
        line = {"kind": "decision", "question": question.id, "text": question.text, **vars(decision), **score}
        self._append(self._transcript, line)

    def _append(self, file: TextIO, line: dict[str, Any]) -> None:
        try:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
        except OSError as error:
            raise writing_failed(Path(file.name), error) from error

    def __enter__(self) -> "MethodFolder":
        return self

    def __exit__(self, *exc: object) -> None:
        for file in (self._transcript, self._timings):
            try:
                file.close()
            except OSError:
                # The disk is full: the error that says so is under way already.
                continue


@dataclass(frozen=True)
class DebateRecord:
    """One debate read back: its transcript, and the decision line if it ended."""

    transcript: Transcript
    decision: dict[str, Any] | None


def read_method(path: Path) -> Iterator[DebateRecord]:
    """Yield the debates of a method folder, in the order in which they began. A torn last line is left out.

    Raises:
        RunError: not a method folder, or a line that is damaged anywhere but at the end.
    """
    file = path / "transcript.jsonl"
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot read {file}: {error.strerror}") from error
    turns: dict[str, list[Turn]] = {}
    decisions: dict[str, dict[str, Any]] = {}
    lines = text.split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            record = json.loads(line)
            if record["kind"] == "turn":
                turns.setdefault(record["question"], []).append(_read_turn(record, path))
            else:
                decisions[record["question"]] = record
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{file}:{number}: a damaged line ({type(error).__name__}: {error})") from error
    for identity, said in turns.items():
        decision = decisions.get(identity)
        yield DebateRecord(Transcript(Question(identity, (decision or {}).get("text", "")), tuple(said)), decision)


def methods_in(path: Path) -> list[Path]:
    """Return the method folders of a run.

    Raises:
        RunError: the folder is not a run.
    """
    if not (path / "run.json").is_file():
        raise RunError(f"{path} is not a run: it has no run.json")
    return sorted(file.parent for file in path.glob("*/transcript.jsonl"))


def _turn_fields(turn: Turn) -> dict[str, Any]:
    message = turn.message
    fields: dict[str, Any] = {
        "heard": [[key.round, key.agent] for key in turn.heard],
        "seed": turn.seed,
        "finish_reason": turn.finish_reason,
        "usage": vars(turn.usage),
        "digest": message.digest,
    }
    if turn.mapped:
        fields["mapped"] = [[key.round, key.agent, mass] for key, mass in turn.mapped]
    if message.is_cipher:
        return {**fields, "text": message.text, "encoder": message.encoder, "temperature": message.temperature}
    return {**fields, **message.header()}


def _read_turn(record: dict[str, Any], path: Path) -> Turn:
    if record["encoder"] is None:
        message = Message(
            record["text"], ModelFingerprint(**record["model"]), record["temperature"], tuple(record["token_ids"])
        )
    else:
        message = read_message(path / "messages" / f"{record['digest']}.safetensors")
    return Turn(
        key=TurnKey(record["round"], record["agent"]),
        message=message,
        heard=tuple(TurnKey(number, agent) for number, agent in record["heard"]),
        seed=record["seed"],
        usage=Usage(**record["usage"]),
        finish_reason=record["finish_reason"],
        mapped=tuple((TurnKey(number, agent), mass) for number, agent, mass in record.get("mapped", [])),
    )
