"""The table of a run."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class MethodResult:
    """One row of the table.

    Attributes:
        method: its name.
        correct, no_answer, failed, total: questions; failed ones, given up or not to be scored, are not correct.
        asked: questions that the method was to play.
        turns, planned_turns: said, and without stopping; the difference is what stopping saved.
        prompt_tokens, cached_tokens, generated_tokens: over all turns; cached ones are part of the prompt's.
        message_bytes: bytes of all messages.
        seconds: wall time of the method, engines already started; of an interrupted run the sum of its sessions. None
            where rows were played side by side: the time that passed was the time of all of them.
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
    seconds: float | None = 0.0
    answers: dict[str, str | None] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Share of the questions answered correctly; neither no answer nor a failed debate is correct."""
        return self.correct / self.total if self.total else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the row as results.json holds it."""
        seconds = None if self.seconds is None else round(self.seconds, 3)
        fields = {**vars(self), "seconds": seconds, "accuracy": self.accuracy}
        return {**fields, "answers": dict(sorted(self.answers.items()))}
