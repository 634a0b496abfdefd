"""What a benchmark is: samples, how an answer is read out of a response, and how it is scored."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.errors import TaskError
from agents.registry import load

GROUP = "debate.tasks"


@dataclass(frozen=True)
class Sample:
    """One question with its reference answer."""

    id: str
    question: str
    target: str


@dataclass(frozen=True)
class Score:
    """How one answer fared; no answer is a value of its own, and counts as not correct in the accuracy."""

    value: Literal["correct", "incorrect", "no answer"]
    answer: str | None
    target: str


class Task(ABC):
    """A benchmark.

    Args:
        seed: of what is generated or shuffled.
        data: a local file in place of the hub, for tasks that have one.
    """

    name: str

    def __init__(self, *, seed: int = 0, data: Path | None = None) -> None:
        self.seed, self.data = seed, data

    @abstractmethod
    def samples(self, limit: int | None) -> Sequence[Sample]:
        """Return the samples, at most `limit` of them, the same ones for one seed.

        Raises:
            TaskError: a file or row that cannot be used, with its place.
        """

    @abstractmethod
    def extract(self, response: str) -> str | None:
        """Return the answer that a response gives, or None."""

    def score(self, answer: str | None, target: str) -> Score:
        """Return the score of an extracted answer."""
        if answer is None:
            return Score("no answer", None, target)
        return Score("correct" if answer == target else "incorrect", answer, target)


def create_task(name: str, *, seed: int = 0, data: Path | None = None) -> Task:
    """Return a task by its registered name or a dotted path."""
    task = load(name, "task", GROUP)(seed=seed, data=data)
    if not isinstance(task, Task):
        raise TaskError(f"{name!r} is a {type(task).__name__}, not a Task")
    return task
