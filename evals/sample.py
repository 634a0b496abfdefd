"""One question of a benchmark, how an answer to it fared, and a loaded split."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from agents.observation import Observation


@dataclass(frozen=True)
class Sample:
    """One question with its reference answer.

    Attributes:
        id: identifier, stable for one task, split and file, whatever is selected.
        question: text of the question, with the options of a choice in it.
        target: the right answer, spelled as `Task.extract` spells it.
        options: texts of a choice's options, in the order of the task's labels.
        metadata: other columns of the row; read-only.
        observations: data that specialists look at, at most one of each modality.
    """

    id: str
    question: str
    target: str
    options: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    observations: tuple[Observation, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))


@dataclass(frozen=True)
class Score:
    """The score of one answer; every value but `correct` counts as not correct in the accuracy.

    Attributes:
        value: `no answer` where none was given, `failed` where the scorer could not tell (a comparison out of time).
        answer: the extracted answer.
        target: the right answer.
        credit: part of the mark, 0 to 1; None for scorers that give no parts.
        reason: reason for a failure, or explanation of the credit.
    """

    value: Literal["correct", "incorrect", "no answer", "failed"]
    answer: str | None
    target: str
    credit: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Loaded:
    """The samples of a split, and what became of each of its rows: rows in = samples + removed.

    Attributes:
        samples: samples in the source's order.
        rows_in: number of rows of the source.
        removed: reason → how many rows were left out for it.
        notes: sentences with file and row, about what is odd and was kept, and what was removed.
        source: the file, or repository@commit.
        duplicates: samples whose question stood before; they are kept.
    """

    samples: tuple[Sample, ...]
    rows_in: int
    removed: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""
    duplicates: int = 0

    def __post_init__(self) -> None:
        out = len(self.samples) + sum(self.removed.values())
        assert out == self.rows_in, f"{self.source}: {self.rows_in} rows in, {out} accounted for"
