"""How an answer to a known question is read and scored."""

from collections.abc import Iterable
from functools import lru_cache

from agents.question import Question
from debate.decision.decision import Reader
from evals.sample import Sample, Score
from evals.task import Task


class Scorer:
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

    def reader(self, question: str) -> Reader:
        """Return response → flexibly extracted answer, for decisions."""
        return lambda response: self._read(question, response, False)

    def strict_reader(self, question: str) -> Reader:
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
