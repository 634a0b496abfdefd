"""The questions of a run, kept beside it, and how an answer to one of them is read and scored."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.atomic_file import open_atomic
from agents.errors import RunError
from agents.ordinary_file import read_ordinary
from agents.question import Question
from evals.sample import Loaded, Sample
from evals.selection import select, without
from evals.task import Task

FILE = "samples.jsonl"
# Bytes of all questions of a run.
LARGEST = 1 << 30


def to_question(sample: Sample, task: Task) -> Question:
    """Return a sample as what is debated."""
    return Question(sample.id, sample.question, sample.observations, task.labels(sample), sample.options)


def write_samples(folder: Path, samples: Sequence[Sample]) -> None:
    """Write the questions of a run into its folder.

    Raises:
        RunError: the disk does not take it.
    """
    with open_atomic(folder / FILE) as file:
        for sample in samples:
            fields = {**vars(sample), "metadata": dict(sample.metadata)}
            # What was looked at is the task's to keep; a run folder holds text.
            del fields["observations"]
            file.write(json.dumps(fields, ensure_ascii=False, default=str) + "\n")


def read_samples(folder: Path) -> list[Sample]:
    """Return the questions of a run; none where it kept none.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        lines = read_ordinary(path, most=LARGEST).splitlines()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(_sample(json.loads(line)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{path}:{number}: a damaged line ({type(error).__name__}: {error})") from error
    return found


def _sample(row: Mapping[str, Any]) -> Sample:
    sample = Sample(**{**row, "options": tuple(row["options"])})
    texts = (sample.id, sample.question, sample.target, *sample.options)
    for value in texts:
        if not isinstance(value, str):
            raise TypeError(f"{str(value)[:60]!r} is no text")
    return sample


def load_selected(
    task: Task,
    *,
    limit: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    sample_ids: Sequence[str] = (),
    shown: Iterable[str] = (),
) -> tuple[Sequence[Sample], Loaded]:
    """Return the samples to ask, and the split they are from with its counts.

    Args:
        task: whose samples.
        limit, shuffle, seed, sample_ids: as of `select`.
        shown: questions that the prompts show with their answers; rows that ask them are removed and counted.
    """
    # A generated task is drawn as long as the limit, unless what is asked for may stand anywhere in it.
    loaded = without(task.load(None if shuffle or sample_ids else limit), shown, "shown in the prompt")
    return select(loaded.samples, limit=limit, shuffle=shuffle, seed=seed, sample_ids=sample_ids), loaded
