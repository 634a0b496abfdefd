"""The control `swapped`: what an agent said about another question is heard in place of what it said about this one.

Each question has one donor, the next one of the run, the last one the first: a derangement that a run's questions fix. The
donor's debate is the same debate without controls, with the donor's own seeds, so that its messages are those that an intact run
of it holds. Its turns are taken as they are needed, and are no part of the transcript.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from agents.errors import ConfigError
from agents.question import Question
from debate.transcript import SpokenTurns, Turn, TurnKey

TakeTurn = Callable[[Question, TurnKey, Mapping[TurnKey, Turn]], Coroutine[Any, Any, Turn]]
Needed = Callable[[TurnKey], Sequence[TurnKey]]


class Donors:
    """Questions by the ids of those in whose debates their messages are heard.

    Args:
        of: id → other question.
    """

    def __init__(self, of: Mapping[str, Question]) -> None:
        self.of = dict(of)
        self._turns: dict[str, dict[TurnKey, asyncio.Task[Turn]]] = {}
        self._said: dict[str, SpokenTurns] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # To another process: what is under way stays here, and is taken again there.
        return Donors, (self.of,)

    async def turn(self, question: Question, key: TurnKey, take: TakeTurn, needed: Needed) -> Turn:
        """Return a turn of the donor of a question.

        Args:
            question: whose donor.
            key: which turn.
            take: takes a turn of the debate without controls.
            needed: turns that have to be said before one.

        Raises:
            ConfigError: the question has no donor.
        """
        if question.id not in self.of:
            raise ConfigError(
                f"content: swapped hears what was said about another question of the run, and {question.id!r} is not among "
                "those that the debate was built for"
            )
        # Others may wait for the same turn: whoever stops waiting does not end it.
        return await asyncio.shield(self._task(question, key, take, needed))

    def forget(self, question: Question) -> None:
        """Drop what was said for a question, whose debate is over."""
        for task in self._turns.pop(question.id, {}).values():
            task.cancel()
        self._said.pop(question.id, None)

    def _task(self, question: Question, key: TurnKey, take: TakeTurn, needed: Needed) -> "asyncio.Task[Turn]":
        tasks = self._turns.setdefault(question.id, {})
        failed = key in tasks and tasks[key].done() and (tasks[key].cancelled() or tasks[key].exception() is not None)
        if key not in tasks or failed:
            tasks[key] = asyncio.create_task(self._taken(question, key, take, needed))
        return tasks[key]

    async def _taken(self, question: Question, key: TurnKey, take: TakeTurn, needed: Needed) -> Turn:
        donor = self.of[question.id]
        said = self._said.setdefault(question.id, SpokenTurns(donor.options))
        for turn in await asyncio.gather(*(self._task(question, one, take, needed) for one in needed(key))):
            said[turn.key] = turn
        return await take(donor, key, said)


def donors(questions: Sequence[Question]) -> Donors:
    """Return the donors of a run's questions: the next of another text, the first ones for the last.

    Raises:
        ConfigError: all questions are the same, or there is one.
    """
    if len({question.text for question in questions}) < 2:
        raise ConfigError(
            "content: swapped hears what was said about another question, and the run has one; raise --limit, or ask "
            "questions of a task"
        )
    found: dict[str, Question] = {}
    for place, question in enumerate(questions):
        later = (*questions[place + 1 :], *questions[:place])
        found[question.id] = next(other for other in later if other.text != question.text)
    return Donors(found)
