"""The questions of a run, kept beside it, and how an answer to one of them is read and scored."""

import base64
import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents import slots
from agents.atomic_file import open_atomic
from agents.errors import PromptError, RunError, TaskError
from agents.observation import Document, Image, Observation
from agents.ordinary_file import read_ordinary
from agents.question import Question
from evals.identity import Asked, observed_digest
from evals.sample import Loaded, Sample
from evals.selection import select, without
from evals.task import Task

FILE = "samples.jsonl"
# Bytes of all questions of a run.
LARGEST = 1 << 30
# Pixels of the longer side of a picture as a run keeps it, to be looked at.
PICTURE_SIDE = 96
# Characters in base64 of a PNG's first 24 bytes, up to its width and height.
_HEAD = 32
# Characters that one may have, in base64: those of 96 x 96 pixels that nothing compresses, and some more.
LONGEST_PICTURE = 60_000
_PICTURE = re.compile(r"iVBORw0KGgo[A-Za-z0-9+/]*={0,2}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Kept:
    """A question of a run, as the run's folder keeps it.

    Attributes:
        sample: the question; what it shows besides its words is not among it.
        picture: the small copy of its picture: a PNG in base64, empty where it has none.
        observed: digest of what it shows besides its words (`evals.identity`); empty where that is nothing, and in runs
            that kept none.
    """

    sample: Sample
    picture: str
    observed: str

    def differs(self, now: Sample) -> bool:
        """Return whether a question is another one than this: in its id, words or answer, or in what it shows."""
        before = self.sample
        if (before.id, before.question, before.target) != (now.id, now.question, now.target):
            return True
        if self.observed:
            return self.observed != observed_digest(now)
        # Of a question in words, or of a run that kept no digest: the small copy of a picture is all that tells.
        return self.picture != _small_copy(now.observations)

    def shows_other(self, other: "Kept") -> bool:
        """Return whether another run's question shows something else: by its digest, or by its picture where one kept none."""
        if self.observed and other.observed:
            return self.observed != other.observed
        return self.picture != other.picture


def to_question(sample: Sample, task: Task) -> Question:
    """Return a sample as what is debated.

    Raises:
        TaskError: no prompt can hold its question; heard of before any is asked.
    """
    try:
        slots.checked(sample.question)
    except PromptError as error:
        raise TaskError(f"question {sample.id!r}: {error}; take them out") from error
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
            observations = fields.pop("observations")
            if picture := _small_copy(observations):
                fields["picture"] = picture
            if observed := observed_digest(sample):
                fields["observed"] = observed
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
    for kept in read_kept(folder):
        yield kept.sample, kept.picture


def read_kept(folder: Path) -> Iterator[Kept]:
    """Yield the questions of a run with what is kept of what they show; none where it kept none.

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
            picture, observed = row.pop("picture", ""), row.pop("observed", "")
            found = Kept(_sample(row), _checked(picture), _checked_digest(observed))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(f"{path}:{number}: a damaged line ({type(error).__name__}: {error})") from error
        yield found


def _small_copy(observations: Sequence[Observation]) -> str:
    """Return the small copy of the last picture or page among what a question shows, a PNG in base64; empty without one."""
    seen = [each for each in observations if isinstance(each, Image | Document) and not each.is_empty]
    if not seen:
        return ""
    from agents.beliefs.page_pictures import page_picture
    from agents.beliefs.picture_files import to_png

    last = seen[-1]
    shown = page_picture(last, longest=PICTURE_SIDE) if isinstance(last, Document) else last
    assert isinstance(shown, Image)
    return base64.b64encode(to_png(shown, longest=PICTURE_SIDE)).decode()


def _checked(picture: str) -> str:
    """Return a picture, if it is text that begins as a small PNG in base64 does and has nothing else in it."""
    if picture and (len(picture) > LONGEST_PICTURE or _PICTURE.fullmatch(picture) is None):
        raise ValueError("its picture is no small PNG")
    if picture:
        # A PNG says first how large it is; a viewer makes room for so many pixels, however few bytes there are.
        head = base64.b64decode(picture[:_HEAD], validate=True)
        if len(head) < 24 or head[8:16] != b"\0\0\0\rIHDR":
            raise ValueError("its picture is no small PNG")
        width, height = struct.unpack(">II", head[16:24])
        if not (1 <= width <= PICTURE_SIDE and 1 <= height <= PICTURE_SIDE):
            raise ValueError(f"its picture has {width} x {height} pixels, and {PICTURE_SIDE} a side are kept")
    return picture


def _checked_digest(observed: str) -> str:
    if observed and _DIGEST.fullmatch(observed) is None:
        raise ValueError("its digest of what is observed is none")
    return observed


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
    shown = tuple(shown)

    def choose(samples: Sequence[Sample]) -> Sequence[Sample]:
        return select(samples, limit=limit, shuffle=shuffle, seed=seed, sample_ids=sample_ids)

    def left(loaded: Loaded) -> Loaded:
        return without(loaded, shown, "shown in the prompt")

    if shuffle or sample_ids:
        # What is asked for may stand anywhere.
        words = [each if isinstance(each, str) else each.question for each in shown]
        kept = left(task.load_chosen(lambda samples: choose(left(Loaded(tuple(samples), len(samples))).samples), words))
        return choose(kept.samples), kept
    # A generated task is drawn as long as the limit.
    loaded = task.load(limit)
    kept = left(loaded)
    if kept is not loaded and limit is not None:
        # Later rows move up, whose pictures were not read: now those of all rows are.
        kept = left(task.load(len(loaded.samples)))
    return choose(kept.samples), kept
