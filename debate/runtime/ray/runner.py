"""A process that plays debates: it renders prompts, speaks with the engines, and has every turn recorded before it counts.

It writes nothing. What happens goes to the driver as events, which the driver asks for; a turn is heard by others once
the driver has said that it is in the journal. A debate that an engine failed over is given back.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from agents.errors import BackendFailed, OutOfMemory, portable
from agents.question import Question
from agents.supervision.replicas import Replicas
from debate.memory import Earlier
from debate.orchestrator import Debate, play
from debate.run_folder.turn_record import Cost
from debate.runtime.faults import TurnFailure, take_in_time
from debate.runtime.ray.actor import greeting
from debate.runtime.ray.borrowed import BORROWED, Borrowed, Lease, Model
from debate.runtime.ray.remote import GATHERING_TURNS
from debate.runtime.ray.wire import Shelf, register
from debate.transcript import Turn, TurnKey

# How long a runner says nothing while nothing happens.
BEAT_S = 2.0


@dataclass(frozen=True)
class Job:
    """A debate to be played.

    Attributes:
        number: the driver's, in events.
        debate: number among the debates given to the runner.
        question, before: the question, and its turns so far.
        earlier: what agents with memory: questions remember of the questions before it.
    """

    number: int
    debate: int
    question: Question
    before: Mapping[TurnKey, Turn]
    earlier: Earlier | None = None


@dataclass(frozen=True)
class TurnStarted:
    """A turn was submitted."""

    job: int
    key: TurnKey


@dataclass(frozen=True)
class TurnSaid:
    """A turn was said, and waits to be recorded."""

    job: int
    turn: Turn
    cost: Cost


@dataclass(frozen=True)
class DebateEnded:
    """A debate is over; where `error` is there, by it."""

    job: int
    error: BaseException | None = None


@dataclass(frozen=True)
class TurnFailed:
    """An engine failed over a turn, and the debate is given back."""

    job: int
    key: TurnKey
    failure: TurnFailure


Event = TurnStarted | TurnSaid | DebateEnded | TurnFailed


class RunnerActor:
    """Plays debates; every method runs in the actor's event loop.

    Args:
        client: name of this runner to the engines.
        turn_timeout_s: after which a turn counts as hung.
    """

    def __init__(self, client: str, turn_timeout_s: float | None) -> None:
        register()
        self._client, self._turn_timeout_s = client, turn_timeout_s
        self._shelf = Shelf()
        self._debates: defaultdict[int, asyncio.Future[Debate]] = defaultdict(asyncio.Future)
        self._jobs: dict[int, asyncio.Task[None]] = {}
        self._recorded: dict[tuple[int, TurnKey], asyncio.Future[None]] = {}
        self._events: list[Event] = []
        self._grew = asyncio.Event()

    async def hello(self) -> dict[str, Any]:
        """Return where this is; see `greeting`."""
        return greeting()

    async def lend(self, models: Sequence[Model], lease: Lease) -> None:
        """Be lent an engine of one of all models."""
        self._know(models)
        BORROWED[lease.model].lend(lease)

    async def withdraw(self, model: int, engine: int, starts: int) -> None:
        """Use an engine no longer; return when nothing is with it."""
        await BORROWED[model].withdraw(engine, starts)

    async def learn(self, number: int, models: Sequence[Model], refs: Sequence[Any]) -> None:
        """Take agents and protocol, for jobs to name; in a list, so that the models are known before it is unpacked."""
        self._know(models)
        try:
            self._debates[number].set_result(await refs[0])
        except Exception as error:  # whoever plays it is told
            self._debates[number].set_exception(portable(error))

    async def begin(self, jobs: Sequence[Job]) -> None:
        """Begin to play."""
        for job in jobs:
            self._jobs[job.number] = asyncio.create_task(self._play(job))

    async def cancel(self, job: int) -> None:
        """End a debate that nobody waits for any more."""
        if job in self._jobs:
            self._jobs[job].cancel()

    async def events(self, recorded: Sequence[tuple[int, TurnKey]], jobs: Sequence[Job]) -> list[Event]:
        """Return what has happened, as soon as anything has; nothing, if nothing has for a while, so that silence means trouble.

        Args:
            recorded: turns that are in the journal now.
            jobs: to begin with.
        """
        for turn in recorded:
            if (waiting := self._recorded.pop(turn, None)) is not None and not waiting.done():
                waiting.set_result(None)
        await self.begin(jobs)
        # So that what follows from it at once is among what is returned.
        for _ in range(GATHERING_TURNS):
            await asyncio.sleep(0)
        if not self._events:
            self._grew.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._grew.wait(), BEAT_S)
        events, self._events = self._events, []
        return events

    def _know(self, models: Sequence[Model]) -> None:
        BORROWED.extend(Borrowed(model, self._client, self._shelf) for model in models[len(BORROWED) :])

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self._grew.set()

    async def _play(self, job: Job) -> None:
        try:
            await play(
                await asyncio.shield(self._debates[job.debate]),
                job.question,
                before=job.before,
                earlier=job.earlier,
                take=partial(self._take, job.number),
                on_start=lambda _, key: self._tell(TurnStarted(job.number, key)),
            )
        except _Given as given:
            self._tell(TurnFailed(job.number, given.key, given.failure))
        except Exception as error:
            self._tell(DebateEnded(job.number, portable(error)))
        else:
            self._tell(DebateEnded(job.number))
        finally:
            del self._jobs[job.number]

    async def _take(
        self, job: int, debate: Debate, question: Question, key: TurnKey, said: Mapping[TurnKey, Turn]
    ) -> Turn:
        """Return a turn when the driver has it in the journal."""
        turn, cost = await self._taken(debate, question, key, said)
        recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._recorded[job, key] = recorded
        self._tell(TurnSaid(job, turn, cost))
        try:
            await recorded
        finally:
            self._recorded.pop((job, key), None)
        return turn

    async def _taken(
        self, debate: Debate, question: Question, key: TurnKey, said: Mapping[TurnKey, Turn]
    ) -> tuple[Turn, Cost]:
        backend = debate.agents[key.agent].backend
        assert isinstance(backend, Replicas)
        while True:
            engine = await backend.engine_for(question.id)
            async with engine.gate.entered(alone=False):
                if not engine.is_ready:
                    # It died or was withdrawn while this turn waited to be let in.
                    continue
                starts, start = engine.starts, time.perf_counter()
                try:
                    turn = await take_in_time(debate, question, key, said, engine, self._turn_timeout_s)
                    return turn, Cost(time.perf_counter() - start, engine.name)
                except BackendFailed as error:
                    failure = error
                if isinstance(failure, OutOfMemory):
                    engine.gate.narrow(failure)
                else:
                    await backend.mend(engine, starts)
                raise _Given(key, TurnFailure(backend.engines.index(engine), starts, failure))


class _Given(Exception):
    """The debate goes back to the driver, since an engine failed over a turn."""

    def __init__(self, key: TurnKey, failure: TurnFailure) -> None:
        super().__init__(key, failure)
        self.key, self.failure = key, failure
