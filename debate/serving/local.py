"""Debates as models for other programs' plug-ins in this process: the server without its HTTP."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from agents.errors import BackendFailed, RequestError
from agents.pretrained import Progress
from debate.config.schema import DebateConfig
from debate.runtime.faults import GivenUp
from debate.runtime.loop_thread import LoopThread
from debate.runtime.observer import Observer
from debate.serving.asking import started
from debate.serving.debates import Job, Outcome, Player
from debate.serving.errors import ApiError
from debate.serving.limits import Limits
from debate.serving.models import Catalogue
from debate.serving.replies import answer_of
from debate.serving.requests import ChatAsked, checked, question_id
from debate.serving.weighing import Weighed, weigh
from debate.transcript import Turn

# Of a program that hands over all that it has to ask: nobody is turned away.
UNBOUNDED = 1_000_000_000


@dataclass(frozen=True)
class Answered:
    """A debate that was asked for.

    Attributes:
        id: of the debate.
        asked: the request.
        outcome: what it came to.
        job: with what was played.
    """

    id: str
    asked: ChatAsked
    outcome: Outcome
    job: Job

    @property
    def content(self) -> str:
        """The answer in the words of the agent that decides, cut where the request says."""
        return answer_of(self.outcome, self.asked)[0]

    @property
    def finish_reason(self) -> str:
        """Why the answer's message ended, in OpenAI's words."""
        return answer_of(self.outcome, self.asked)[1]


class LocalModels:
    """Configs as models, with their engines on an event loop of their own.

    Args:
        configs: id → config.
        concurrent: debates played at once.
        timeout_s: seconds from a question to its answer, waiting included; None for no limit.
        out: folder that debates are kept in, one run each; None to keep none.
        observer: told of every debate, in the thread of that loop.
        progress: told what takes time.

    Raises:
        DebateError: a config that cannot be played.
    """

    def __init__(
        self,
        configs: Mapping[str, DebateConfig],
        *,
        concurrent: int = 32,
        timeout_s: float | None = None,
        out: Path | None = None,
        observer: Observer | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        self._limits = Limits(
            max_concurrent=concurrent, max_queue=UNBOUNDED, timeout_s=UNBOUNDED if timeout_s is None else timeout_s
        )
        self._loop = LoopThread()
        try:
            self._catalogue = self._loop.run(self._loaded(configs, progress))
        except BaseException:
            self._loop.close()
            raise
        self._player = Player(self._limits, out=out, observer=observer)

    async def _loaded(self, configs: Mapping[str, DebateConfig], progress: Progress) -> Catalogue:
        return Catalogue(configs, self._limits, progress)

    @property
    def ids(self) -> Sequence[str]:
        """The models' ids: configs, and their agents alone as CONFIG/AGENT."""
        return self._catalogue.ids

    def run(self, coroutine: Any) -> Any:
        """Return what a coroutine of this class comes to, for callers without an event loop."""
        return self._loop.run(coroutine)

    async def ask(
        self, body: Mapping[str, Any], on_turn: Callable[[Turn], None] = lambda _: None, *, epoch: int = 1
    ) -> Answered:
        """Return the answer to a chat request, whatever loop the caller runs on.

        Args:
            body: as of `/v1/chat/completions`.
            on_turn: told of each turn, in the thread of the engines' loop.
            epoch: which time it is asked, from 1; a further one is another question to the draws.

        Raises:
            DebateError: it is refused, or an engine failed.
        """
        return await self._loop.wait(self.asked(body, on_turn, epoch=epoch))

    async def asked(
        self, body: Mapping[str, Any], on_turn: Callable[[Turn], None] = lambda _: None, *, epoch: int = 1
    ) -> Answered:
        """As `ask`, to be awaited on the engines' own loop."""
        try:
            asked = checked(ChatAsked, dict(body))
            if epoch > 1:
                asked.debate.id = f"{question_id(asked, asked.instructions, asked.question)}#{epoch}"
            job = await started(self._catalogue, self._player, self._limits, asked, background=False)
            try:
                while (event := await job.events.get()) is not None:
                    if isinstance(event, Turn):
                        on_turn(event)
                (outcome,) = await job.task
            finally:
                job.cancel()
        except ApiError as error:
            raise RequestError(error.message) from error
        except GivenUp as error:
            raise BackendFailed(str(error)) from error
        return Answered(job.id, asked, outcome, job)

    async def weighed(self, body: Mapping[str, Any], continuations: Sequence[str]) -> list[Weighed]:
        """Return how likely the deciding agent finds continuations in its last turn; see `weigh`. On the engines' own loop."""
        found = await self.asked(body)
        return await weigh(found.job.plan, found.outcome.transcript, continuations)

    def close(self) -> None:
        """End what is under way and free the engines. Closing twice is once."""
        if self._loop.is_closed:
            return
        try:
            self._loop.run(self._ended())
        finally:
            self._loop.close()

    async def _ended(self) -> None:
        await self._player.drain()
        await self._catalogue.close()

    def __enter__(self) -> "LocalModels":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
