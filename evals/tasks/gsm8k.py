"""GSM8K (Cobbe et al., 2021): grade-school word problems, from the hub or from a file of JSON lines.

A row is {"question": …, "answer": rationale ending in "#### N"}, as published; test split, 1,319 rows.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from agents.errors import MissingDependency, TaskError
from evals.numbers import normalised, stated_number
from evals.task import Sample, Task

HUB = ("openai/gsm8k", "main", "test")


class GSM8K(Task):
    """Word problems with a number for an answer."""

    name = "gsm8k"

    def samples(self, limit: int | None) -> Sequence[Sample]:
        """Return the first `limit` rows, in the file's order."""
        rows = _hub_rows() if self.data is None else _file_rows(self.data)
        found: list[Sample] = []
        for number, row in enumerate(rows, start=1):
            if limit is not None and len(found) >= limit:
                break
            found.append(_sample(row, number, str(self.data or HUB[0])))
        if not found and limit != 0:
            raise TaskError(f"{self.data or HUB[0]}: no questions in it")
        return found

    def extract(self, response: str) -> str | None:
        """Return the stated number."""
        return stated_number(response)


def _file_rows(path: Path) -> Iterable[Any]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    try:
                        yield json.loads(line)
                    except ValueError as error:
                        raise TaskError(f"{path}:{number}: not JSON: {error}") from error
    except OSError as error:
        raise TaskError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TaskError(f"{path}: not UTF-8: {error}") from error


def _hub_rows() -> Iterable[Any]:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingDependency("gsm8k from the hub", "datasets", "gsm8k") from error
    repository, config, split = HUB
    try:
        return datasets.load_dataset(repository, config, split=split)  # type: ignore[no-any-return]
    except Exception as error:
        raise TaskError(f"cannot get {repository} from the hub ({error}). Give a local file with --data.") from error


def _sample(row: Any, number: int, source: str) -> Sample:
    where = f"{source}:{number}"
    if not isinstance(row, dict) or not {"question", "answer"} <= set(row):
        raise TaskError(f"{where}: a row is an object with question and answer")
    _, mark, last = str(row["answer"]).rpartition("####")
    target = normalised(last.strip()) if mark else None
    if target is None:
        raise TaskError(f"{where}: the answer does not end in '#### number'")
    return Sample(f"gsm8k-{number:04d}", str(row["question"]), target)
