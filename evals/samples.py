"""The questions of a run, kept beside it, and how an answer to one of them is read and scored."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.atomic_file import open_atomic
from agents.errors import RunError
from agents.observation import Image
from agents.ordinary_file import read_ordinary
from agents.question import Question
from evals.identity import Asked
from evals.sample import Loaded, Sample
from evals.selection import select, without
from evals.task import Task

FILE = "samples.jsonl"
# Bytes of all questions of a run.
LARGEST = 1 << 30
# Pixels of the longer side of a picture as a run keeps it, to be looked at.
PICTURE_SIDE = 96
# Characters that one may have, in base64: those of 96 x 96 pixels that nothing compresses, and some more.
LONGEST_PICTURE = 60_000
_PICTURE = re.compile(r"iVBORw0KGgo[A-Za-z0-9+/]*={0,2}")


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
            # What was looked at is the task's to keep; a run folder holds text, and a small copy of a picture.
            for observation in fields.pop("observations"):
                if isinstance(observation, Image) and not observation.is_empty:
                    fields["picture"] = _small_copy(observation)
            file.write(json.dumps(fields, ensure_ascii=False, default=str) + "\n")


def read_samples(folder: Path) -> list[Sample]:
    """Return the questions of a run; none where it kept none.

    Raises:
        RunError: the file is damaged.
    """
    return [sample for sample, _ in read_shown(folder)]


def read_shown(folder: Path) -> Iterator[tuple[Sample, str]]:
    """Yield the questions of a run, each with the small copy of its picture: a PNG in base64, empty where it has none.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return
    try:
        lines = read_ordinary(path, most=LARGEST).splitlines()
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            picture = row.pop("picture", "")
            found = _sample(row), _checked(picture)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(f"{path}:{number}: a damaged line ({type(error).__name__}: {error})") from error
        yield found


def _small_copy(image: Image) -> str:
    from agents.beliefs.picture_files import to_png

    return base64.b64encode(to_png(image, longest=PICTURE_SIDE)).decode()


def _checked(picture: str) -> str:
    """Return a picture, if it is text that begins as a PNG in base64 does and has nothing else in it."""
    if picture and (len(picture) > LONGEST_PICTURE or _PICTURE.fullmatch(picture) is None):
        raise ValueError("its picture is no small PNG")
    return picture


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
    shown: Iterable[Asked | str] = (),
) -> tuple[Sequence[Sample], Loaded]:
    """Return the samples to ask, and the split they are from with its counts.

    Args:
        task: whose samples.
        limit, shuffle, seed, sample_ids: as of `select`.
        shown: worked examples, or texts of questions, that the prompts show with their answers; rows that ask them are removed
            and counted.
    """
    # A generated task is drawn as long as the limit, unless what is asked for may stand anywhere in it.
    loaded = without(task.load(None if shuffle or sample_ids else limit), shown, "shown in the prompt")
    return select(loaded.samples, limit=limit, shuffle=shuffle, seed=seed, sample_ids=sample_ids), loaded
