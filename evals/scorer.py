"""How an answer to a known question is read and scored: the boundary behind which a task's own code runs on what models say.

What that code makes of one answer stays there: where it raises, that answer's verdict is `failed` with the reason, and the run
goes on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from agents.errors import MissingDependency
from agents.question import Question
from debate.decision.by_value import Same
from debate.decision.decision import Decision, Reader
from debate.transcript import Transcript
from evals.sample import Sample, Score
from evals.task import Task

# Of an exception's sentence.
LONGEST = 300


@dataclass(frozen=True)
class Reading:
    """What was read out of a response.

    Attributes:
        answer: None where it gives none, or could not be read.
        failure: why it could not be read; empty where it could.
    """

    answer: str | None
    failure: str = ""


def read_response(task: Task, response: str, options: Sequence[str] = (), *, strict: bool = False) -> Reading:
    """Return the answer that a response gives, or why the task's reader could not read it.

    Raises:
        MissingDependency: the reader needs an extra that is not installed: no response can be read.
    """
    try:
        return Reading((task.extract_strict if strict else task.extract)(response, options))
    except MissingDependency:
        raise
    except Exception as error:
        return Reading(None, f"the response could not be read: {_named(error)}")


def score_answer(task: Task, reading: Reading, sample: Sample) -> Score:
    """Return how what was read fares; `failed` where it could not be read, or the task's scorer raises on it.

    Raises:
        MissingDependency: the scorer needs an extra that is not installed: no answer can be scored.
    """
    if reading.failure:
        return Score("failed", None, sample.target, reason=reading.failure)
    try:
        return task.score_sample(reading.answer, sample)
    except MissingDependency:
        raise
    except Exception as error:
        return Score("failed", reading.answer, sample.target, reason=f"the answer could not be scored: {_named(error)}")


@dataclass(frozen=True)
class SafeExtract:
    """A task's `extract` for debates (edges, stopping rules): a response that it cannot read gives no answer."""

    task: Task

    def __call__(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the answer that a response gives, or None."""
        return read_response(self.task, response, options).answer

    @property
    def same(self) -> Same | None:
        """Whether two answers are one to a vote; None where equal spellings are all."""
        return same_of(self.task)


def same_of(task: Task) -> Same | None:
    """Return whether two answers to a task are one to a vote; None where equal spellings are all."""
    if type(task).same is Task.same:
        return None

    def same(one: str, other: str) -> bool | None:
        try:
            return task.same(one, other)
        except MissingDependency:
            raise
        except Exception:  # the task's own code, on what models say
            return one == other

    return same


class Scorer:
    """Reads and scores answers to known questions.

    Args:
        task: task whose rules read and score the answers.
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

    @property
    def same(self) -> Same | None:
        """Whether two answers are one to a vote; None where equal spellings are all."""
        return same_of(self.task)

    def target(self, question: str) -> str:
        """Return the right answer."""
        return self._samples[question].target

    def labels(self, question: str) -> tuple[str, ...]:
        """Return how the options of a choice are called; () of no choice."""
        return self.task.labels(self._samples[question])

    def reader(self, question: str, *, strict: bool = False) -> Reader:
        """Return response → extracted answer, for decisions: flexibly, or in the form that the task asks for."""
        return lambda response: self._read(question, response, strict).answer

    def _read_once(self, question: str, response: str, strict: bool) -> Reading:
        return read_response(self.task, response, self._samples[question].options, strict=strict)

    def judge(self, transcript: Transcript, decision: Decision, *, strict: bool = False) -> Score:
        """Return how what a debate came to fares; `failed` where it came to no answer and a last message could not be read."""
        question = transcript.question.id
        reading = Reading(decision.answer)
        if decision.answer is None:
            last = (self._read(question, transcript.last_of(agent).message.text, strict) for agent in transcript.agents)
            reading = next((found for found in last if found.failure), reading)
        return score_answer(self.task, reading, self._samples[question])

    def score(self, question: str, response: str, *, strict: bool = False) -> Score:
        """Return how a response fares, leniently or strictly read."""
        return score_answer(self.task, self._read(question, response, strict), self._samples[question])


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:LONGEST].encode(errors="replace").decode()
