"""What the records of a journal come to. The one place that says what each kind of record means.

The writer adds a record as it appends it, readers add all of a journal's (debate/run_folder/reader.py): the state is the same
while a run goes on, when it is continued, and when it is read back later.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agents.errors import RunError
from agents.fingerprint import ModelFingerprint
from debate.run_folder.activity import Activity
from debate.run_folder.journal import Entry, Record
from debate.run_folder.results import MethodResult
from debate.run_folder.turn_record import text, turn_key, whole
from debate.transcript import TurnKey


@dataclass(frozen=True)
class Strikes:
    """How often engines failed over a question with nothing else to do, and why the last time."""

    count: int = 0
    last: str = ""

    def after(self, error: str, *, alone: bool) -> "Strikes":
        """Return the strikes after one more failure, which counts if the engine was alone with the question."""
        return Strikes(self.count + 1, error) if alone else self


class TurnPlace(NamedTuple):
    """Where a turn is.

    Attributes:
        offset: byte offset of its record in the journal.
        place: in its round's plan.
        digest: digest of a CIPHER message, which names its file; None for text.
    """

    offset: int
    place: int
    digest: str | None


@dataclass(slots=True)
class DebateState:
    """One debate of a method.

    Attributes:
        text: text of the question.
        turns: its turns, in the order written.
        strikes: failures of engines on this question alone.
        end: offset of the record that ended it; None while it is under way.
    """

    text: str
    turns: dict[TurnKey, TurnPlace] = field(default_factory=dict)
    strikes: Strikes = field(default_factory=Strikes)
    end: int | None = None


class MethodState:
    """One method of a run.

    Attributes:
        result: its row of the table so far.
        debates: question id → debate, in the order begun, without those forgotten.
    """

    def __init__(self, name: str) -> None:
        self.result = MethodResult(name)
        self.debates: dict[str, DebateState] = {}
        self._forgotten: set[str] = set()
        self._planned = 0
        self._since: float | None = None

    def is_over(self, question: str) -> bool:
        """Whether a question is decided or given up."""
        return question in self._forgotten or (question in self.debates and self.debates[question].end is not None)

    def forget(self, question: str) -> None:
        """Keep of a debate that has ended only that it has: a writer needs no more."""
        del self.debates[question]
        self._forgotten.add(question)

    def pass_time(self, now: float) -> None:
        """Count the time since the method's record before, of the same session."""
        # A clock that is set back takes nothing away.
        if self.result.seconds is not None:
            self.result.seconds += max(0.0, now - (now if self._since is None else self._since))
        self._since = now

    def share_time(self) -> None:
        """Note that it is played beside other methods, so that its own time is not known."""
        self.result.seconds = None

    def session(self) -> None:
        """Note that another session begins: what lies between is nobody's time."""
        self._since = None

    def plan(self, record: Record) -> None:
        """Note what the method is about to do."""
        self.result.asked, self._planned = whole(record["total"]), whole(record["planned_turns"])

    def turn(self, record: Record, offset: int) -> None:
        """Note that a turn was said."""
        digest = record["digest"] if record["encoder"] is not None else None
        self.debates[record["question"]].turns[turn_key(record)] = TurnPlace(offset, whole(record["place"]), digest)
        row, usage = self.result, record["usage"]
        row.turns += 1
        row.prompt_tokens += whole(usage["prompt_tokens"])
        row.cached_tokens += whole(record["cost"]["cached_tokens"])
        row.generated_tokens += whole(usage["generated_tokens"])
        row.message_bytes += whole(record["bytes"])

    def fault(self, record: Record) -> None:
        """Note that an engine failed over a turn."""
        debate = self.debates[record["question"]]
        debate.strikes = debate.strikes.after(record["error"], alone=record["alone"])

    def end(self, record: Record, offset: int) -> None:
        """Note that a debate was decided or given up."""
        self.debates.setdefault(text(record["question"]), DebateState(text(record["text"]))).end = offset
        row, is_decided = self.result, record["kind"] == "decision"
        row.total += 1
        row.planned_turns += self._planned
        answer = record.get("answer")
        row.answers[record["question"]] = None if answer is None else text(answer)
        # Given up, or decided on an answer that could not be scored.
        failed = not is_decided or record.get("score") == "failed"
        row.failed += failed
        row.correct += record.get("score") == "correct"
        row.no_answer += not failed and record["answer"] is None


class RunState:
    """A run as far as its journal goes.

    Args:
        activity: also receives what engines did.

    Attributes:
        methods: name → method, in the order begun.
        models: name → fingerprint of each that spoke.
        config: the resolved config that the run was begun with, and what else was asked for; None before it is written.
        run_id: the run's id, by which its messages are signed; None where nobody signed any.
        signers: public key → offset of the record from which it signs.
    """

    def __init__(self, activity: Activity | None = None) -> None:
        self.methods: dict[str, MethodState] = {}
        self.models: dict[str, ModelFingerprint] = {}
        self.config: Record | None = None
        self.run_id: str | None = None
        self.signers: dict[str, int] = {}
        self._activity = activity
        self._rows_at_once = False

    def replay(self, entries: Iterable[Entry]) -> None:
        """Add the records of a journal, in their order.

        Raises:
            RunError: a record that is sound and says what no version writes.
        """
        for entry in entries:
            try:
                self.add(entry.record, entry.offset)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise RunError(
                    f"the journal's record at byte {entry.offset} is none that a run writes ({type(error).__name__}: {error}). "
                    "Nothing was changed. Restore journal.log from a copy, or start again with another --out."
                ) from error

    def add(self, record: Record, offset: int) -> None:
        """Add the record at an offset of the journal."""
        if (name := record.get("method")) is not None:
            if text(name) not in self.methods:
                self.methods[name] = MethodState(name)
            self._add_to_method(self.methods[name], record, offset)
            return
        match record["kind"]:
            case "run":
                self.config = record["config"]
                self._facts()
            case "models":
                self.models |= {model: ModelFingerprint(**facts) for model, facts in record["models"].items()}
            case "signer":
                self.run_id = self.run_id or str(record["run"])
                self.signers.setdefault(record["key"], offset)
            case "session":
                self._rows_at_once = record.get("rows_at_once", False)
                for method in self.methods.values():
                    method.session()
                if self._activity is not None:
                    self._activity.session()

    def _add_to_method(self, method: MethodState, record: Record, offset: int) -> None:
        if self._rows_at_once:
            method.share_time()
        method.pass_time(float(record["t"]))
        match record["kind"]:
            case "turn":
                method.turn(record, offset)
                if self._activity is not None:
                    self._activity.turn(record)
            case "question":
                method.debates[text(record["question"])] = DebateState(text(record["text"]))
            case "decision" | "failed":
                method.end(record, offset)
                if self._activity is not None:
                    self._activity.end(record)
            case "fault":
                method.fault(record)
                if self._activity is not None:
                    self._activity.fault(record)
            case "method":
                method.plan(record)

    @property
    def results(self) -> dict[str, MethodResult]:
        """The rows of the table."""
        return {name: method.result for name, method in self.methods.items()}

    def digests(self) -> set[str]:
        """Return the digests of the CIPHER messages that turns name."""
        debates = (debate for method in self.methods.values() for debate in method.debates.values())
        return {turn.digest for debate in debates for turn in debate.turns.values() if turn.digest is not None}

    def forget_ended(self) -> None:
        """Keep of debates that have ended only that they have; see `MethodState.forget`."""
        for method in self.methods.values():
            for question in [name for name, debate in method.debates.items() if debate.end is not None]:
                method.forget(question)

    def table(self) -> dict[str, Any]:
        """Return what results.json holds; in it only `seconds` and `cached_tokens` depend on timing.

        Raises:
            RunError: nothing was written but the journal's header.
        """
        if self.config is None:
            raise RunError("the run ended before it began: its journal has no config. Run the same command again.")
        return {**self._facts(), "methods": {name: row.as_json() for name, row in self.results.items()}}

    def _facts(self) -> dict[str, Any]:
        """Return what the table says of the config.

        Raises:
            KeyError, TypeError, ValueError: it is the config of no run.
        """
        assert self.config is not None
        return {
            **{key: text(self.config[key]) for key in ("task", "model", "backend")},
            "seed": whole(self.config["seed"]),
        }
