"""A debate as a plain callable, with no event loop in sight.

>>> from debate import DebateSession
>>> with DebateSession("smoke", extract=lambda response: response.rpartition("Answer: ")[2]) as ask:
...     said = ask("What is the result of 3+4*5+6-2*7?")
>>> said.answer, said.decision.reason, len(said.transcript.turns)
('15', 'ada has the lowest temperature, 0.15', 6)
"""

import asyncio
import itertools
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from agents.question import Question
from debate.build import build_debate
from debate.config.load import load_config
from debate.config.schema import DebateConfig
from debate.decision.decision import Decision, Poll, Reader
from debate.decision.rules import decision_rule
from debate.orchestrator import Debate, play
from debate.runtime.backends import Backends
from debate.transcript import Transcript


@dataclass(frozen=True)
class Answer:
    """What a debate came to: the decision, and everything that was said."""

    decision: Decision
    transcript: Transcript

    @property
    def answer(self) -> str | None:
        """The answer; None where there is none, and `decision.reason` says why."""
        return self.decision.answer


class DebateSession:
    """Debates one question a call; engines are started once and held until it is closed.

    Args:
        config: a config, or the file or name of one, e.g. `first_debate`.
        extract: response → its answer; the whole response by default. A task's `extract` reads numbers or options.

    Raises:
        DebateError: a config, model or prompt that cannot be used.
    """

    def __init__(self, config: DebateConfig | Path | str, *, extract: Reader | None = None) -> None:
        self.config = config if isinstance(config, DebateConfig) else load_config(config)
        self._extract = extract or _whole
        self._runner = asyncio.Runner()
        self._backends = Backends(self.config)
        self._rule = decision_rule(self.config.decision, self._backends.decode)
        self._debate: Debate | None = None
        self._count = itertools.count(1)

    def __call__(self, question: str, *, id: str | None = None) -> Answer:
        """Return what a debate of the question comes to.

        Args:
            question: what is debated.
            id: of the question; what is drawn follows from it and the config's seed, so give one to have the same debate
                again. Questions are numbered by default.
        """
        return self._runner.run(self._play(Question(id or f"question-{next(self._count)}", question)))

    async def _play(self, question: Question) -> Answer:
        if self._debate is None:
            self._debate = build_debate(self.config, self._backends, extract=lambda said, _: self._extract(said))
        transcript = await play(self._debate, question)
        return Answer(self._rule(Poll(transcript, self.config.electorate, self._extract)), transcript)

    def close(self) -> None:
        """Free the engines."""
        try:
            self._runner.run(self._backends.close())
        finally:
            self._runner.close()

    def __enter__(self) -> "DebateSession":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _whole(response: str) -> str | None:
    return response.strip() or None


# The earlier name.
Debater = DebateSession
