"""The journal of a run as one method sees it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.errors import MessageError, RunError
from agents.question import Question
from agents.signature import Place
from agents.signing import MessageRefused, refuse_unsigned
from debate.decision.decision import Decision
from debate.run_folder.journal import Record
from debate.run_folder.reader import RunReader
from debate.run_folder.results import MethodResult
from debate.run_folder.run_state import DebateState, MethodState, Strikes
from debate.run_folder.store import RunStore
from debate.run_folder.turn_record import Cost, read_turn, turn_record
from debate.transcript import Transcript, Turn, TurnKey


class MethodJournal:
    """The journal of a run as one method sees it: which questions were begun, what was said, what is decided."""

    def __init__(self, store: RunStore, name: str) -> None:
        self._store, self.name = store, name

    def is_over(self, question: Question) -> bool:
        """Whether a question is decided or given up."""
        return self._state is not None and self._state.is_over(question.id)

    def open(self, total: int, planned_turns: int) -> None:
        """Write down what the method is about to do: once a run, and again when there are more questions."""
        if self._state is None or self._state.result.asked != total:
            self._append({"kind": "method", "total": total, "planned_turns": planned_turns})

    def begin(self, question: Question) -> dict[TurnKey, Turn]:
        """Write down that a debate begins; return what was said of it before an interruption.

        Raises:
            RunError: the id stands for another question than before, or what was said cannot be read.
        """
        debate = None if self._state is None else self._state.debates.get(question.id)
        if debate is None:
            self._append({"kind": "question", "question": question.id, "text": question.text})
            return {}
        if debate.text != question.text:
            raise RunError(
                f"{self._store.path}: question {question.id} was {debate.text!r} and is now {question.text!r}. The questions of "
                "a run must not change: use the same data, another --out, or --overwrite."
            )
        said: dict[TurnKey, Turn] = {}
        for key, turn in debate.turns.items():
            try:
                said[key] = read_turn(self._store.read(turn.offset), self._store.messages)
            except MessageError as error:
                self._store.warnings.append(f"{error}; the turn is taken again")
            else:
                self._check_signed(question, said[key], turn.offset)
        return said

    def decided(self, questions: Sequence[Question]) -> Iterator[Transcript]:
        """Yield the debates of some questions that were decided before this session, in the questions' order.

        Raises:
            RunError: what was said of one cannot be read, or was changed after it was signed.
        """
        if not any(map(self.is_over, questions)):
            return
        reader = RunReader(self._store.path)
        states = reader.state.methods[self.name].debates
        try:
            found = {debate.transcript.question.id: debate for debate in reader.debates(self.name) if debate.decision}
        except MessageError as error:
            raise RunError(
                f"{error}. Later questions remember it (memory: questions): restore it from a copy, or start again with another "
                "--out."
            ) from error
        for question in questions:
            if question.id in found:
                turns = found[question.id].transcript.turns
                for turn in turns:
                    self._check_signed(question, turn, states[question.id].turns[turn.key].offset)
                yield Transcript(question, turns)

    def place(self, question: Question, turn: TurnKey) -> Place:
        """Return where a turn is said, as it is signed; in a run that nobody signs, of a run without a name."""
        return Place(self._store.state.run_id or "", self.name, question.id, turn.round, turn.agent)

    def signed(self, question: Question, turn: Turn) -> Turn:
        """Return a turn with the run's signature, unless it has its speaker's own, or there is no key."""
        signer = self._store.signer
        if signer is None or turn.signature is not None:
            return turn
        return replace(turn, signature=signer.signed(turn, self.place(question, turn.key)))

    def strikes(self, question: str) -> Strikes:
        """Return how often an engine failed that had nothing but this question, in this session and before."""
        return self._debate(question).strikes

    def append_turn(self, question: Question, turn: Turn, cost: Cost) -> None:
        """Write a turn; of a CIPHER message the vectors first, so that a record never names a missing file.

        Raises:
            RunError: the disk does not take it, or the turn was said before in other words.
        """
        if turn.message.is_cipher:
            self._store.refuse_if_elsewhere()
            self._store.messages.put(turn.message)
        if (before := self._debate(question.id).turns.get(turn.key)) is not None:
            # Its vectors were lost to a power cut; the record was not.
            self._check_repeated(question, turn, before.offset)
            return
        self._append({"kind": "turn", "question": question.id, **turn_record(turn, cost)})

    def append_fault(self, question: Question, turn: TurnKey, engine: str, error: str, *, alone: bool) -> None:
        """Write down that an engine failed over a turn; `alone`: it had nothing else to do."""
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
        return self._store.state.methods[self.name].result

    def _check_repeated(self, question: Question, turn: Turn, offset: int) -> None:
        before = self._store.read(offset)["digest"]
        if before != turn.message.digest:
            raise RunError(
                f"{self._store.path}: {turn.key.agent}'s round {turn.key.round} on {question.id} was lost, and taken again it "
                f"is another message ({turn.message.digest[:12]}, not {before[:12]}). Start again with another --out."
            )

    def _check_signed(self, question: Question, turn: Turn, offset: int) -> None:
        """Refuse to go on from a turn that is not what the run's key signed; earlier ones than the key had no signature."""
        signer = self._store.signer
        if signer is None or offset < self._store.state.signers[signer.key.public]:
            return
        try:
            key = signer.key.public if turn.signature is None else turn.signature.key
            refuse_unsigned(turn.message, turn.signature, self.place(question, turn.key), key)
        except MessageRefused as error:
            raise RunError(
                f"{self._store.path}: {turn.key.agent}'s round {turn.key.round} on {question.id} was changed after it was signed "
                f"({error}). Nothing was changed now. Restore the folder from a copy, or start again with another --out."
            ) from error

    @property
    def _state(self) -> MethodState | None:
        """What the journal says of the method; None while it says nothing."""
        return self._store.state.methods.get(self.name)

    def _debate(self, question: str) -> DebateState:
        """Return a debate that was begun and is not over."""
        return self._store.state.methods[self.name].debates[question]

    def _end(self, record: Record) -> None:
        self._append(record)
        self._store.state.methods[self.name].forget(record["question"])

    def _append(self, record: Record) -> None:
        self._store.append({"kind": record["kind"], "method": self.name, **record})
