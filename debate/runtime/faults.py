"""What happens when an engine fails over a turn: the engine is started again and the turn tried again, within limits.

Whatever an engine did wrong is a BackendFailed; any other error is the user's or ours, is not mended by trying again, and
ends the run.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.errors import BackendFailed, EngineLost, OutOfMemory, RowFailed, TurnTimedOut
from agents.question import Question
from agents.supervision.replicas import Replicas
from agents.supervision.supervised import Supervised
from debate.config.execution import ExecutionConfig
from debate.orchestrator import Debate, take
from debate.run_folder.method_journal import MethodJournal
from debate.run_folder.run_state import Strikes
from debate.run_folder.turn_record import Cost
from debate.transcript import Turn, TurnKey

# After these an engine serves on as it is.
WELL = (OutOfMemory, RowFailed)


class GivenUp(Exception):
    """A question over which engines failed too often; the text says how."""


@dataclass(frozen=True)
class TurnFailure:
    """A turn that an engine failed over, as a runner tells it.

    Attributes:
        engine: its place among those of the model.
        starts: number of starts of the engine so far.
        cause: the error.
    """

    engine: int
    starts: int
    cause: BackendFailed


@dataclass
class Faults:
    """Takes turns, again where an engine fails.

    Attributes:
        execution: time-out and tries.
        record: where failures are written down, and those of earlier sessions are known.
        costs: of turns taken, until whoever writes them down takes them from here.
    """

    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    record: MethodJournal | None = None
    costs: dict[tuple[str, TurnKey], Cost] = field(default_factory=dict)
    _strikes: dict[str, Strikes] = field(default_factory=dict)
    _tried: dict[tuple[str, TurnKey], tuple[int, bool]] = field(default_factory=dict)

    async def take(self, debate: Debate, question: Question, key: TurnKey, said: Mapping[TurnKey, Turn]) -> Turn:
        """Return a turn, taken by an engine that survived it.

        Raises:
            GivenUp: engines failed over the question as often as the config allows, each time alone with it.
        """
        backend = debate.agents[key.agent].backend
        if not isinstance(backend, Supervised | Replicas):
            start = time.perf_counter()
            turn = await take(debate, question, key, said)
            self.costs[question.id, key] = Cost(time.perf_counter() - start)
            return turn
        tries, alone = self._tried.pop((question.id, key), (0, False))
        while True:
            engine = await backend.engine_for(question.id)
            async with engine.gate.entered(alone=alone):
                if not engine.is_ready:
                    # It died while this turn waited to be let in.
                    continue
                tries += 1
                self._check(question)
                starts, start = engine.starts, time.perf_counter()
                try:
                    turn = await take_in_time(debate, question, key, said, engine, self.execution.turn_timeout_s)
                    self.costs[question.id, key] = Cost(time.perf_counter() - start, engine.name, tries)
                    return turn
                except BackendFailed as error:
                    failure = error
                if isinstance(failure, OutOfMemory):
                    engine.gate.narrow(failure)
                self._write_down(
                    question, key, engine.name, failure, alone=alone and not isinstance(failure, EngineLost)
                )
                if not isinstance(failure, WELL):
                    await backend.mend(engine, starts)
            if not isinstance(failure, EngineLost):
                alone = _tried_alone_next(tries, failure)

    async def record_failure(self, debate: Debate, question: Question, key: TurnKey, failure: TurnFailure) -> None:
        """Write down a failure that a runner met, and mend its engine; `take` goes on from there.

        Args:
            debate, question, key: over which turn.
            failure: the failure.
        """
        backend, cause = debate.agents[key.agent].backend, failure.cause
        assert isinstance(backend, Replicas)
        engine = backend.engines[failure.engine]
        self._write_down(question, key, engine.name, cause, alone=False)
        alone = not isinstance(cause, EngineLost) and _tried_alone_next(1, cause)
        self._tried[question.id, key] = 1, alone
        if not isinstance(cause, WELL):
            await backend.mend(engine, failure.starts)

    def has_strikes(self, question: Question) -> bool:
        """Whether an engine failed that had nothing but this question."""
        return self._strikes_over(question).count > 0

    def _write_down(
        self, question: Question, key: TurnKey, engine: str, failure: BackendFailed, *, alone: bool
    ) -> None:
        reason = f"{type(failure).__name__}: {failure}"
        if self.record is not None:
            self.record.append_fault(question, key, engine, reason, alone=alone)
        else:
            self._strikes[question.id] = self._strikes_over(question).after(reason, alone=alone)

    def _strikes_over(self, question: Question) -> Strikes:
        if self.record is not None:
            return self.record.strikes(question.id)
        return self._strikes.get(question.id, Strikes())

    def _check(self, question: Question) -> None:
        strikes = self._strikes_over(question)
        if strikes.count >= self.execution.tries:
            raise GivenUp(f"engines failed {strikes.count} times over it alone; the last time: {strikes.last}")


async def take_in_time(
    debate: Debate,
    question: Question,
    key: TurnKey,
    said: Mapping[TurnKey, Turn],
    engine: Supervised,
    timeout_s: float | None,
) -> Turn:
    """Return a turn taken by an engine.

    Raises:
        TurnTimedOut: it took longer than allowed.
        BackendFailed: the engine failed.
    """
    try:
        async with asyncio.timeout(timeout_s) as limit:
            return await take(debate, question, key, said, engine)
    except TimeoutError:
        if not limit.expired():
            raise
        raise TurnTimedOut(timeout_s or 0.0) from None


def _tried_alone_next(tries: int, failure: BackendFailed) -> bool:
    """One that shared the engine with others is tried alone next; where memory ran out, first with fewer."""
    return tries > 1 or not isinstance(failure, OutOfMemory)
