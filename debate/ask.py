"""A debate as a plain callable, also where an event loop runs already, as in a notebook.

>>> from debate import DebateSession
>>> with DebateSession("smoke") as ask:
...     said = ask("What is the result of 3+4*5+6-2*7?")
>>> said.answer, said.decision.reason, len(said.turns)
('15', 'ada has the lowest temperature, 0.15', 6)
"""

import itertools
from pathlib import Path
from types import TracebackType

from agents.question import Question
from agents.registry import load
from debate.answer import Answer
from debate.build import build_debate
from debate.config.load import load_config
from debate.config.schema import DebateConfig
from debate.decision.decision import Poll, Reader
from debate.decision.rules import decision_rule
from debate.orchestrator import Debate, play
from debate.runtime.backends import Backends
from debate.runtime.loop_thread import LoopThread

# How answers are read is the tasks' to say, which stand above this package: found by name, as any extension is.
TASKS, READERS = "evals.task:create_task", "evals.scorer:SafeExtract"


class DebateSession:
    """A debate as a callable: one question for each call; engines are started once and held until it is closed.

    In a coroutine or a notebook cell `await session.ask(question)` does the same and leaves the event loop free.

    Args:
        config: a config, its file, or the name of a shipped one, e.g. `first_debate`.
        extract: function from a response to the answer in it (default: as the config's task reads it, e.g. its number).

    Raises:
        DebateError: the config, its task, a model or a prompt cannot be used.
    """

    def __init__(self, config: DebateConfig | Path | str, *, extract: Reader | None = None) -> None:
        self.config = config if isinstance(config, DebateConfig) else load_config(config)
        self._extract = extract or task_reader(self.config)
        self._backends = Backends(self.config)
        self._rule = decision_rule(self.config.decision, self._backends.decode)
        self._debate: Debate | None = None
        self._count = itertools.count(1)
        self._loop = LoopThread()
        self._is_closed = False

    def __call__(self, question: str, *, id: str | None = None) -> Answer:
        """Return what a debate of the question comes to.

        Args:
            question: question to debate.
            id: identifier of the question. Everything drawn follows from it and the config's seed, so the same id repeats the
                debate. By default questions are numbered.
        """
        return self._loop.run(self._play(self._question(question, id)))

    async def ask(self, question: str, *, id: str | None = None) -> Answer:
        """Return what a debate of the question comes to, like a call of the session; several may run at once."""
        return await self._loop.wait(self._play(self._question(question, id)))

    def _question(self, text: str, id: str | None) -> Question:
        return Question(id or f"question-{next(self._count)}", text)

    async def _play(self, question: Question) -> Answer:
        if self._debate is None:
            self._debate = build_debate(self.config, self._backends, extract=lambda said, _: self._extract(said))
        transcript = await play(self._debate, question)
        return Answer(
            self._rule(Poll(transcript, self.config.electorate, self._extract, getattr(self._extract, "same", None))),
            transcript,
        )

    def close(self) -> None:
        """Free the engines. Closing twice is once."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._loop.run(self._backends.close())
        finally:
            self._loop.close()

    def __enter__(self) -> "DebateSession":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> "DebateSession":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def task_reader(config: DebateConfig) -> Reader:
    """Return how the config's task reads the answer that a response gives."""
    task = load(TASKS, "task", "")(config.task, seed=config.seed)
    reader: Reader = load(READERS, "reader", "")(task)
    return reader


# The earlier name.
Debater = DebateSession
