"""The table of a run, summed up from the records of its journal: the same while it runs, when it ends, and rebuilt later."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from debate.run_folder.journal import Record


@dataclass
class MethodResult:
    """One row of the table.

    Fields:
        method: its name.
        correct, no_answer, failed, total: questions; failed ones were given up, and count as not correct.
        asked: questions that the method was to play.
        turns, planned_turns: said, and without stopping; the difference is what stopping saved.
        prompt_tokens, cached_tokens, generated_tokens: over all turns; cached ones are part of the prompt's.
        message_bytes: of everything said.
        seconds: wall time of the method, engines already started; of an interrupted run the sum of its sessions.
    """

    method: str
    correct: int = 0
    no_answer: int = 0
    failed: int = 0
    total: int = 0
    asked: int = 0
    turns: int = 0
    planned_turns: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    message_bytes: int = 0
    seconds: float = 0.0
    answers: dict[str, str | None] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Share of the questions answered correctly; neither no answer nor a failed debate is correct."""
        return self.correct / self.total if self.total else 0.0


class Results:
    """Rows by method, from every record in order."""

    def __init__(self) -> None:
        self.rows: dict[str, MethodResult] = {}
        self.run: Record = {}
        self._planned: dict[str, int] = {}
        self._since: dict[str, float] = {}

    def add(self, record: Record) -> None:
        """Add a record; those that say nothing about results are passed over."""
        kind = record["kind"]
        if kind == "run":
            self.run = record
        elif kind == "session":
            self._since = {}
        if (method := record.get("method")) is None:
            return
        row = self.rows.setdefault(method, MethodResult(method))
        row.seconds += record["t"] - self._since.get(method, record["t"])
        self._since[method] = record["t"]
        if kind == "method":
            row.asked, self._planned[method] = record["total"], record["planned_turns"]
        elif kind == "turn":
            row.turns += 1
            row.prompt_tokens += record["usage"]["prompt_tokens"]
            row.cached_tokens += record["cost"]["cached_tokens"]
            row.generated_tokens += record["usage"]["generated_tokens"]
            row.message_bytes += record["bytes"]
        elif kind in ("decision", "failed"):
            row.total += 1
            row.planned_turns += self._planned.get(method, 0)
            row.answers[record["question"]] = record.get("answer")
            row.failed += kind == "failed" or record.get("score") == "failed"
            row.correct += record.get("score") == "correct"
            row.no_answer += kind == "decision" and record["answer"] is None and record.get("score") != "failed"

    def table(self) -> dict[str, Any]:
        """Return what results.json holds; in it only `seconds` and `cached_tokens` depend on timing."""
        config: Mapping[str, Any] = self.run["config"]
        rows = {name: _row(row) for name, row in self.rows.items()}
        return {**{key: config[key] for key in ("task", "model", "backend", "seed")}, "methods": rows}


def _row(row: MethodResult) -> dict[str, Any]:
    fields = {**vars(row), "seconds": round(row.seconds, 3), "accuracy": row.accuracy}
    fields["answers"] = dict(sorted(row.answers.items()))
    return fields
