"""Run observers, e.g. a screen, a counter or a log; events arrive after they are journaled."""

from collections.abc import Sequence
from typing import Any, Protocol

from agents.backend import Backend
from agents.question import Question
from debate.decision.decision import Decision
from debate.orchestrator import Debate
from debate.transcript import Turn, TurnKey


class AnswerScore(Protocol):
    """What a task says of an answer; a `Score` of `evals` is one."""

    @property
    def value(self) -> str:
        """`correct`, `incorrect`, `no answer`, or `failed` where that could not be told."""

    @property
    def target(self) -> str:
        """The right answer."""

    @property
    def reason(self) -> str:
        """Why it failed."""


class Observer:
    """What a screen is told. It shows nothing itself: derive from it and say what is to be shown."""

    def of_method(self, method: str) -> "Observer":
        """Return who is told of the debates of one method; where methods are played side by side, they say which."""
        return self

    def of_debate(self, id: str) -> "Observer":
        """Return who is told of one debate that is played for itself, under an id of its own."""
        return self

    def method_started(self, method: str, debate: Debate, total: int, backends: Sequence[Backend]) -> None:
        """A method begins."""

    def method_continued(self, row: Any) -> None:
        """A method that has begun was played in part by an earlier session; `row` is its line of the table so far."""

    def debate_started(self, question: Question) -> None:
        """A debate begins."""

    def debate_continued(self, question: Question, turns: int) -> None:
        """Of a debate that begins, so many turns were said in an earlier session."""

    def turn_started(self, question: Question, turn: TurnKey) -> None:
        """A turn was submitted."""

    def turn_said(self, question: Question, turn: Turn) -> None:
        """A turn was said."""

    def debate_decided(self, question: Question, decision: Decision, score: Any) -> None:
        """A debate ended; `score` is an AnswerScore, or None where nothing tells what is right."""

    def debate_failed(self, question: Question, reason: str) -> None:
        """A debate was given up, since engines failed over it."""

    def method_finished(self, row: Any) -> None:
        """A method ended; `row` is its line of the table."""


class Together(Observer):
    """Several observers, told in turn.

    Args:
        observers: each is told of everything.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def of_method(self, method: str) -> Observer:
        """Return the observers of one method's debates."""
        return Together(*(observer.of_method(method) for observer in self._observers))

    def of_debate(self, id: str) -> Observer:
        """Return the observers of one debate."""
        return Together(*(observer.of_debate(id) for observer in self._observers))

    def method_started(self, method: str, debate: Debate, total: int, backends: Sequence[Backend]) -> None:
        """A method begins."""
        for observer in self._observers:
            observer.method_started(method, debate, total, backends)

    def method_continued(self, row: Any) -> None:
        """A method was played in part."""
        for observer in self._observers:
            observer.method_continued(row)

    def debate_started(self, question: Question) -> None:
        """A debate begins."""
        for observer in self._observers:
            observer.debate_started(question)

    def debate_continued(self, question: Question, turns: int) -> None:
        """Of a debate that begins, so many turns were said before."""
        for observer in self._observers:
            observer.debate_continued(question, turns)

    def turn_started(self, question: Question, turn: TurnKey) -> None:
        """A turn was submitted."""
        for observer in self._observers:
            observer.turn_started(question, turn)

    def turn_said(self, question: Question, turn: Turn) -> None:
        """A turn was said."""
        for observer in self._observers:
            observer.turn_said(question, turn)

    def debate_decided(self, question: Question, decision: Decision, score: Any) -> None:
        """A debate ended."""
        for observer in self._observers:
            observer.debate_decided(question, decision, score)

    def debate_failed(self, question: Question, reason: str) -> None:
        """A debate was given up."""
        for observer in self._observers:
            observer.debate_failed(question, reason)

    def method_finished(self, row: Any) -> None:
        """A method ended."""
        for observer in self._observers:
            observer.method_finished(row)
