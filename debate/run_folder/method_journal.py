"""The journal of a run as one method sees it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from agents.errors import MessageError, RunError
from agents.question import Question
from debate.decision.decision import Decision
from debate.run_folder.journal import Record
from debate.run_folder.results import MethodResult
from debate.run_folder.store import RunStore
from debate.run_folder.turn_record import Cost, read_turn, turn_key, turn_record
from debate.transcript import Turn, TurnKey


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

    def __init__(self, store: RunStore, name: str) -> None:
        self._store, self.name = store, name
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
        row = self._store.results.rows.get(self.name)
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
                f"{self._store.path}: question {question.id} was {text!r} and is now {question.text!r}. The questions of a "
                "run must not change: use the same data, another --out, or --overwrite."
            )
        said: dict[TurnKey, Turn] = {}
        for key, offset in self._said[question.id].items():
            record = self._store.read(offset)
            try:
                said[key] = read_turn(record, self._store.messages)
            except MessageError as error:
                self._store.warnings.append(f"{error}; the turn is taken again")
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
            self._store.messages.put(turn.message)
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

    def append_runner_died(self, runner: str, error: str, questions: Collection[str]) -> None:
        """Write down that a process that played debates died, and which debates another takes up."""
        self._append({"kind": "runner", "runner": runner, "error": error, "questions": sorted(questions)})

    def append_decision(self, question: Question, decision: Decision, score: Mapping[str, Any]) -> None:
        """Write what a debate came to, with the score where there is one."""
        self._end({"kind": "decision", "question": question.id, "text": question.text, **vars(decision), **score})

    def append_failed(self, question: Question, reason: str) -> None:
        """Write that a debate was given up, and why."""
        self._end({"kind": "failed", "question": question.id, "text": question.text, "reason": reason})

    @property
    def result(self) -> MethodResult:
        """The method's row of the table, as far as it got."""
        return self._store.results.rows[self.name]

    def _check_repeated(self, question: Question, turn: Turn, offset: int) -> None:
        before = self._store.read(offset)["digest"]
        if before != turn.message.digest:
            raise RunError(
                f"{self._store.path}: {turn.key.agent}'s round {turn.key.round} on {question.id} was lost, and taken again it "
                f"is another message ({turn.message.digest[:12]}, not {before[:12]}). Start again with another --out."
            )

    def _end(self, record: Record) -> None:
        self._append(record)
        self._over.add(record["question"])
        self._said.pop(record["question"], None)
        self._texts.pop(record["question"], None)

    def _append(self, record: Record) -> int:
        return self._store.append({"kind": record["kind"], "method": self.name, **record})
