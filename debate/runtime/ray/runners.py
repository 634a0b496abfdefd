"""The driver's end of the processes that play debates: it hands debates out, records what is said, and mends.

A runner plays as long as all is well. A debate that an engine failed over comes back and is played to its end in the
driver, whose rules of who is guilty (`Faults`) then hold; the engine is withdrawn from all runners while somebody is to be
alone with it. The debates of a runner that died are handed to another, with what was recorded.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from agents.errors import ConfigError, RunError
from agents.question import Question
from agents.supervision.replicas import Replicas
from agents.supervision.supervised import Supervised
from debate.config.execution import ExecutionConfig
from debate.memory import Earlier
from debate.orchestrator import Debate, OnStart, OnTurn, play
from debate.runtime.faults import Faults
from debate.runtime.ray.borrowed import Lease, Model, borrowed
from debate.runtime.ray.packages import differing, packages
from debate.runtime.ray.remote import GATHERING_TURNS, RemoteEngine, reason
from debate.runtime.ray.runner import DebateEnded, Event, Job, RunnerActor, TurnFailed, TurnSaid, TurnStarted
from debate.transcript import Transcript, Turn, TurnKey

LEND_EVERY_S = 0.05
# A runner that dies so often before anything is recorded of what it plays will die again.
MOST_DEATHS = 5


class RunnerDied(Exception):
    """The process that played a debate is gone."""


@dataclass
class Work:
    """A debate that a runner plays, as the driver keeps it."""

    question: Question
    said: dict[TurnKey, Turn]
    earlier: Earlier | None
    faults: Faults
    on_start: OnStart
    on_turn: OnTurn
    over: "asyncio.Future[TurnFailed | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Runner:
    """One such process, in one of its lives."""

    def __init__(self, name: str, life: int, execution: ExecutionConfig) -> None:
        self.name, self.client = name, f"{name}.{life}"
        # No CPU is reserved: it shares those that are left, and is spread over the nodes.
        options = {"num_cpus": 0, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        self.actor = ray.remote(RunnerActor).options(**options).remote(self.client, execution.turn_timeout_s)
        self.work: dict[int, Work] = {}
        self.leases: dict[tuple[int, int], int] = {}
        self.debates: set[int] = set()
        self.outbox: list[Job] = []
        self.recorded: list[tuple[int, TurnKey]] = []
        self.is_alive = False

        self.sending: asyncio.Task[None] | None = None


class Runners:
    """The processes that play debates.

    Args:
        execution: number of runners, and the time-out of a turn.
        replicas: the engines of every model; those that are started later are noticed.
    """

    def __init__(self, execution: ExecutionConfig, replicas: Sequence[Replicas]) -> None:
        self._execution, self._replicas = execution, replicas
        ray.util.register_serializer(Replicas, serializer=self._place, deserializer=borrowed)
        self._debates: list[tuple[Debate, Any]] = []
        self._runners: list[Runner] = []
        self._came = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = self._deaths = 0
        self._fatal: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lives: dict[str, int] = {}

    async def play(
        self,
        debate: Debate,
        question: Question,
        before: Mapping[TurnKey, Turn],
        earlier: Earlier | None = None,
        *,
        faults: Faults,
        on_start: OnStart,
        on_turn: OnTurn,
    ) -> Transcript:
        """Return the transcript of a debate that a runner played; see `orchestrator.play`.

        Raises:
            RunError: runners die before anything is recorded, again and again.
        """
        said = dict(before)
        while True:
            work = Work(question, said, earlier, faults, on_start, on_turn)
            try:
                trouble = await self._handed_out(debate, work)
            except RunnerDied:
                continue
            if trouble is None:
                return Transcript.of(question, said.values())
            await faults.record_failure(debate, question, trouble.key, trouble.failure)
            return await play(
                debate, question, before=said, earlier=earlier, take=faults.take, on_start=on_start, on_turn=on_turn
            )

    async def ready(self) -> None:
        """Wait until all of them are there; `play` waits for one only."""
        self._start()
        while not all(runner.is_alive for runner in self._runners):
            if self._fatal is not None:
                raise self._fatal
            self._came.clear()
            await self._came.wait()

    def give_up(self, error: Exception) -> None:
        """End every debate by an error."""
        self._fatal = error
        self._came.set()
        for runner in self._runners:
            for work in runner.work.values():
                if not work.over.done():
                    work.over.set_exception(error)

    def close(self) -> None:
        """End the processes."""
        for replicas in self._replicas:
            for engine in replicas.engines:
                engine.gate.recall = None
        for task in self._tasks:
            with contextlib.suppress(RuntimeError):
                # The loop may be closed already.
                task.cancel()
        for runner in self._runners:
            ray.kill(runner.actor, no_restart=True)
        self._runners = []

    async def _handed_out(self, debate: Debate, work: Work) -> TurnFailed | None:
        """Give a debate to the least busy runner, and return when it is over."""
        self._start()
        number = self._number(debate)
        while not (alive := [runner for runner in self._runners if runner.is_alive]):
            self._came.clear()
            if self._fatal is not None:
                raise self._fatal
            await self._came.wait()
        runner = min(alive, key=lambda one: len(one.work))
        job, self._next = self._next, self._next + 1
        runner.work[job] = work
        if number not in runner.debates:
            runner.debates.add(number)
            runner.actor.learn.remote(number, self._models(), [self._debates[number][1]])
        runner.outbox.append(Job(job, number, work.question, dict(work.said), work.earlier))
        if runner.sending is None or runner.sending.done():
            runner.sending = self._spawn(self._send(runner))
        try:
            return await work.over
        finally:
            if runner.work.pop(job, None) is not None and not work.over.done():
                runner.actor.cancel.remote(job)

    def _start(self) -> None:
        """Start the processes and what looks after them, once an event loop."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        self.close()
        self._loop, self._fatal, self._came = loop, None, asyncio.Event()
        for number in range(self._execution.runners):
            runner = self._begun(f"runner-{number}")
            self._spawn(self._serve(runner))
        self._spawn(self._lend())

    def _begun(self, name: str) -> Runner:
        life = self._lives[name] = self._lives.get(name, 0) + 1
        runner = Runner(name, life, self._execution)
        self._runners.append(runner)
        return runner

    def _number(self, debate: Debate) -> int:
        for number, (known, _) in enumerate(self._debates):
            if known is debate:
                return number
        try:
            self._debates.append((debate, ray.put(debate)))
        except (TypeError, AttributeError) as error:
            raise ConfigError(
                f"execution.runners: this debate cannot be sent to another process ({error}). Set runners: 0."
            ) from error
        return len(self._debates) - 1

    async def _send(self, runner: Runner) -> None:
        """Hand out what has gathered, unless it went with a call in between."""
        for _ in range(GATHERING_TURNS):
            await asyncio.sleep(0)
        jobs, runner.outbox = runner.outbox, []
        if jobs:
            # Whether it arrived is found out by asking for events.
            runner.actor.begin.remote(jobs)

    async def _serve(self, runner: Runner) -> None:
        """Greet a runner, do what its events ask for until it dies, and begin another in its place."""
        try:
            facts = await runner.actor.hello.remote()
            if differs := differing(packages(), facts["packages"]):
                raise ConfigError(
                    f"the node at {facts['address']} has {differs[1]}, and this process has {differs[0]}: its runner would "
                    "render other prompts. Install the same versions there."
                )
            runner.is_alive = True
            self._came.set()
            while True:
                recorded, runner.recorded = runner.recorded, []
                jobs, runner.outbox = runner.outbox, []
                events = runner.actor.events.remote(recorded, jobs)
                for event in await asyncio.wait_for(events, self._execution.runner_patience_s):
                    self._heed(runner, event)
                # So that debates that begin as others end are handed out with the next call.
                for _ in range(GATHERING_TURNS):
                    await asyncio.sleep(0)
        except RayError as error:
            self._died(runner, reason(error))
        except TimeoutError:
            # Stopped, or in a native call that does not return. Whatever it still says is not asked for.
            ray.kill(runner.actor, no_restart=True)
            self._died(runner, f"it said nothing for {self._execution.runner_patience_s:g} s, and was ended")
        except Exception as error:  # whoever waits must be told, whatever it is
            self.give_up(error)

    def _heed(self, runner: Runner, event: Event) -> None:
        work = runner.work.get(event.job)
        if work is None or work.over.done():
            # Nobody waits for it any more.
            return
        try:
            match event:
                case TurnStarted(key=key):
                    work.on_start(work.question, key)
                case TurnSaid(turn=turn, cost=cost):
                    self._deaths = 0
                    work.faults.costs[work.question.id, turn.key] = cost
                    work.said[turn.key] = work.on_turn(work.question, turn) or turn
                    runner.recorded.append((event.job, turn.key))
                case TurnFailed():
                    work.over.set_result(event)
                case DebateEnded(error=error):
                    if error is None:
                        work.over.set_result(None)
                    else:
                        work.over.set_exception(error)
        except Exception as error:  # of the journal, or a message that is refused, for whoever waits for the debate
            work.over.set_exception(error)
            runner.actor.cancel.remote(event.job)

    def _died(self, runner: Runner, why: str) -> None:
        """Write a death down, hand its debates out again, and begin another runner."""
        runner.is_alive = False
        self._runners.remove(runner)
        self._deaths += 1
        left = [work for work in runner.work.values() if not work.over.done()]
        for record in {id(work.faults.record): work.faults.record for work in left}.values():
            if record is not None:
                questions = [work.question.id for work in left if work.faults.record is record]
                record.append_runner_died(runner.name, why, questions)
        for replicas in self._replicas:
            for engine in replicas.engines:
                if isinstance(engine.inner, RemoteEngine):
                    engine.inner.actor.forget.remote(runner.client)
        if self._deaths >= MOST_DEATHS:
            self.give_up(
                RunError(
                    f"runners died {self._deaths} times one after the other before anything was recorded; the last: "
                    f"{runner.name}: {why}. execution.runners: 0 plays the debates in this process. What was said is kept."
                )
            )
            return
        for work in left:
            work.over.set_exception(RunnerDied())
        self._spawn(self._serve(self._begun(runner.name)))

    async def _lend(self) -> None:
        """Lend every engine that runs to every runner, and withdraw it while it is mended or somebody is alone with it."""
        while True:
            for model, replicas in enumerate(self._replicas):
                for place, engine in enumerate(replicas.engines):
                    if engine.gate.recall is None:
                        self._guard(model, place, engine)
                    if engine.is_ready and engine.gate.is_shared:
                        self._offer(model, place, engine)
                    elif not engine.is_ready:
                        self._spawn(self._recall(model, place))
            await asyncio.sleep(LEND_EVERY_S)

    def _guard(self, model: int, place: int, engine: Supervised) -> None:
        engine.gate.recall = lambda: self._recall(model, place)

    def _offer(self, model: int, place: int, engine: Supervised) -> None:
        remote = engine.inner
        assert isinstance(remote, RemoteEngine)
        for runner in self._runners:
            if runner.is_alive and runner.leases.get((model, place)) != engine.starts:
                runner.leases[model, place] = engine.starts
                lease = Lease(model, place, engine.starts, remote.actor, remote.node)
                runner.actor.lend.remote(self._models(), lease)

    async def _recall(self, model: int, place: int) -> None:
        """Withdraw an engine from every runner that has it, and return when nothing of theirs is with it."""
        for runner in list(self._runners):
            starts = runner.leases.pop((model, place), None)
            if starts is not None:
                try:
                    await runner.actor.withdraw.remote(model, place, starts)
                except RayError:
                    # It died; what it had asked for is ended first.
                    with contextlib.suppress(RayError):
                        await self._replicas[model].engines[place].inner.actor.forget.remote(runner.client)  # type: ignore[attr-defined]

    def _models(self) -> list[Model]:
        models = []
        for replicas in self._replicas:
            first = replicas.engines[0].inner
            assert isinstance(first, RemoteEngine)
            outstanding = max(
                1, self._execution.engine(str(first.fingerprint.model)).outstanding // self._execution.runners
            )
            names = tuple(engine.name for engine in replicas.engines)
            models.append(Model(replicas.name, names, first.description, outstanding))
        return models

    def _place(self, replicas: Replicas) -> int:
        return next(place for place, known in enumerate(self._replicas) if known is replicas)

    def _spawn(self, coroutine: Any) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
