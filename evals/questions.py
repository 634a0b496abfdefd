"""The questions of a run, kept beside it, and how an answer to one of them is read and scored."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from agents.errors import RunError, writing_failed
from debate.decision import Extract
from debate.transcript import Question
from evals.task import Sample, Score, Task

FILE = "samples.jsonl"


class Marker:
    """Reads and scores answers to known questions.

    Args:
        task: how.
        samples: the questions, with options and right answers.
    """

    def __init__(self, task: Task, samples: Iterable[Sample]) -> None:
        self.task = task
        self._samples = {sample.id: sample for sample in samples}
        # Decisions, verdicts and rounds read the same responses again and again.
        self._read = lru_cache(maxsize=4096)(self._read_once)

    def know(self, question: Question, target: str | None) -> None:
        """Add a question of which no more than its text and right answer is known."""
        if question.id not in self._samples:
            self._samples[question.id] = Sample(question.id, question.text, target or "")

    def target(self, question: str) -> str:
        """Return the right answer."""
        return self._samples[question].target

    def labels(self, question: str) -> tuple[str, ...]:
        """Return how the options of a choice are called; () of no choice."""
        return self.task.labels(self._samples[question])

    def reader(self, question: str) -> Extract:
        """Return response → flexibly extracted answer, for decisions."""
        return lambda response: self._read(question, response, False)

    def strict_reader(self, question: str) -> Extract:
        """Return response → answer in the form that the task asks for."""
        return lambda response: self._read(question, response, True)

    def _read_once(self, question: str, response: str, strict: bool) -> str | None:
        extract = self.task.extract_strict if strict else self.task.extract
        return extract(response, self._samples[question].options)

    def score(self, question: str, answer: str | None) -> Score:
        """Return how an extracted answer fares."""
        return self.task.score_sample(answer, self._samples[question])

    def flexible(self, question: str, response: str) -> Score:
        """Return how a response fares, leniently read."""
        return self.score(question, self.reader(question)(response))

    def strict(self, question: str, response: str) -> Score:
        """Return how a response fares, strictly read."""
        return self.score(question, self.strict_reader(question)(response))


def to_question(sample: Sample, task: Task) -> Question:
    """Return a sample as what is debated."""
    return Question(sample.id, sample.question, sample.observations, task.labels(sample), sample.options)


def write_samples(folder: Path, samples: Sequence[Sample]) -> None:
    """Write the questions of a run into its folder.

    Raises:
        RunError: the disk does not take it.
    """
    path = folder / FILE
    aside = path.with_name(f".{FILE}.part")
    try:
        with aside.open("w", encoding="utf-8") as file:
            for sample in samples:
                fields = {**vars(sample), "metadata": dict(sample.metadata)}
                # What was looked at is the task's to keep; a run folder holds text.
                del fields["observations"]
                file.write(json.dumps(fields, ensure_ascii=False, default=str) + "\n")
        aside.replace(path)
    except OSError as error:
        raise writing_failed(path, error) from error


def read_samples(folder: Path) -> list[Sample]:
    """Return the questions of a run; none where it kept none.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row: Mapping[str, object] = json.loads(line)
            found.append(Sample(**{**row, "options": tuple(row["options"])}))  # type: ignore[arg-type]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}:{number}: a damaged line ({type(error).__name__}: {error})") from error
    return found
