"""Score responses that were made anywhere: JSON lines of {"target", "response"} → verdicts and counts."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agents.atomic_file import write_atomic
from agents.errors import TaskError
from evals.datasets.rows import DataRow, read_rows
from evals.sample import Sample, Score
from evals.scorer import read_response, score_answer
from evals.task import Task

VALUES = ("correct", "incorrect", "no answer", "failed")
READINGS = ("strict", "flexible")


@dataclass(frozen=True)
class Verdict:
    """How one response fared, by either reading."""

    id: str
    target: str
    strict: Score
    flexible: Score

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as a line of the file holds it."""
        read = {name: _as_json(score) for name, score in (("strict", self.strict), ("flexible", self.flexible))}
        return {"id": self.id, "target": self.target, **read}


@dataclass(frozen=True)
class Tally:
    """How many responses have which value, by reading; every row is in each reading once."""

    rows_in: int
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> "Tally":
        """Return the counts of verdicts."""
        counts = {reading: dict.fromkeys(VALUES, 0) for reading in READINGS}
        rows_in = 0
        for verdict in verdicts:
            rows_in += 1
            counts["strict"][verdict.strict.value] += 1
            counts["flexible"][verdict.flexible.value] += 1
        return cls(rows_in, counts)


def score_file(task: Task, path: Path) -> list[Verdict]:
    """Return a verdict for every row of a file, in its order.

    A row has `target` and `response`; `id` and `options` are read where they are there. Of a task that is scored by its own
    questions (`reasoning_gym`) the id says which question it was.

    Raises:
        TaskError: a row without target or response, a target that is no answer to the task: file and line.
    """
    known: dict[str, Sample] = {}
    verdicts = []
    for row in read_rows(path):
        verdicts.append(_verdict(task, row, known))
    if not verdicts:
        raise TaskError(f"{path}: no rows in it")
    return verdicts


def write_verdicts(verdicts: Iterable[Verdict], path: Path) -> None:
    """Write a line of JSON for each verdict."""
    lines = "".join(json.dumps(verdict.as_json(), ensure_ascii=False) + "\n" for verdict in verdicts)
    # A lone surrogate in an answer is no text that a file can hold.
    write_atomic(path, lines.encode("utf-8", errors="replace"))


def _verdict(task: Task, row: DataRow, known: dict[str, Sample]) -> Verdict:
    response = row.get("response")
    if not isinstance(response, str):
        raise row.error(f"response is a text; this is a {type(response).__name__}")
    name = str(row.values.get("id", row.number))
    options = row.values.get("options") or ()
    if not isinstance(options, list | tuple):
        raise row.error("options is a list")
    texts = tuple(str(option) for option in options)
    given = row.get("target")
    if given is None or not str(given).strip():
        raise row.error("target is empty: a row without the right answer cannot be scored")
    try:
        target = task.read_target(given, texts)
    except TaskError as error:
        raise row.error(str(error)) from error
    sample = _sample(task, row, name, target, texts, known)
    strict, flexible = (
        score_answer(task, read_response(task, response, texts, strict=strict), sample) for strict in (True, False)
    )
    return Verdict(name, target, strict, flexible)


def _sample(
    task: Task, row: DataRow, name: str, target: str, options: tuple[str, ...], known: dict[str, Sample]
) -> Sample:
    if task.info.kind != "generated":
        return Sample(name, "", target, options)
    if name not in known:
        number = name.rpartition("-")[2]
        count = int(number) + 1 if number.isdecimal() and len(number) < 7 else 0
        known.update({sample.id: sample for sample in task.load(count).samples})
    if name not in known:
        raise row.error(
            f"{task.name} is scored by its own questions, and none has the id {name!r}; ids are like "
            f"{next(iter(known), task.name)!r}, of the same --seed and --split"
        )
    return known[name]


def _as_json(score: Score) -> dict[str, Any]:
    kept = {key: value for key, value in asdict(score).items() if key != "target"}
    return {key: value for key, value in kept.items() if key in ("value", "answer") or value not in (None, "")}
