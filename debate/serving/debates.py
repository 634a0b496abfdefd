"""One request's debates: admitted, played, written down if asked, and told turn by turn."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from agents.errors import DebateError
from agents.question import Question
from agents.registry import load
from debate.config.schema import DebateConfig
from debate.decision.decision import Decision
from debate.orchestrator import play
from debate.run_folder.folder import RunFolder
from debate.run_folder.method_journal import MethodJournal
from debate.runtime.demands import vouched
from debate.runtime.faults import Faults
from debate.runtime.observer import Observer
from debate.serving.admission import Admission
from debate.serving.errors import ApiError
from debate.serving.limits import Limits
from debate.serving.long_texts import LongTexts
from debate.serving.models import Plan
from debate.transcript import Transcript, Turn, TurnKey

T = TypeVar("T")

# What a run's record says of its engines is said above this package.
DECODING = "evals.provenance:decoding"
# Decisions that are one agent's word by its office, and not by its temperature.
BY_OFFICE = ("judge", "last_speaker")


@dataclass(frozen=True)
class Outcome:
    """A debate that is over.

    Attributes:
        decision: what it came to.
        transcript: what was said.
        turn: the turn whose words are the answer; None where the answer is nobody's.
    """

    decision: Decision
    transcript: Transcript
    turn: Turn | None

    @property
    def content(self) -> str:
        """The answer in the words of the agent that decides, or the bare answer where it is nobody's."""
        return self.turn.message.text if self.turn is not None else self.decision.answer or ""


def spoken_for(plan: Plan, transcript: Transcript, decision: Decision) -> Turn | None:
    """Return the turn that says what was decided; see `answering_turn`."""
    return answering_turn(plan.config, transcript, decision.answer, decision.answers)


def answering_turn(
    config: DebateConfig, transcript: Transcript, answer: str | None, answers: Mapping[str, str | None]
) -> Turn | None:
    """Return the turn that says what was decided.

    Of several who gave the answer it is a judge's or last speaker's where that decides, else that of the lowest temperature.
    Where nobody's answer was read, it is the turn that would have decided.

    Args:
        config: what was played.
        transcript: what was said.
        answer: the answer that was decided on.
        answers: everyone's last answer.
    """
    last = {name: transcript.last_of(name) for name in transcript.agents}
    by_office = config.decision.partition("(")[0] in BY_OFFICE
    voters = [name for name in config.electorate.order() if name in last]
    others = [turn.key.agent for turn in reversed(transcript.turns) if turn.key.agent not in config.electorate.members]
    spoke_last = list(dict.fromkeys(turn.key.agent for turn in reversed(transcript.turns)))
    order = spoke_last if by_office else [*voters, *dict.fromkeys(others)]
    if answer is None:
        return last[order[0]]
    return next((last[name] for name in order if answers.get(name) == answer), None)


@dataclass(frozen=True)
class Growing:
    """A turn that is being said.

    Attributes:
        key: which.
        text: what was said so far; of a CIPHER message its reading.
    """

    key: TurnKey
    text: str


class Job:
    """The debates of one request, played in a task of their own, which ends when nobody waits for it any more.

    Args:
        player: who plays.
        plan: what is played.
        questions: the questions.
        follows: whether turns are told while they are said.

    Attributes:
        id: of the response and, with `--out`, of the stored debates.
        task: ends with the outcomes, in the order of the questions.
        questions: what is debated.
        events: turns as they are said, and before that as they grow if it follows them; None when it is over.
    """

    def __init__(self, player: "Player", plan: Plan, questions: Sequence[Question], *, follows: bool = False) -> None:
        self.id = f"debate-{secrets.token_hex(12)}"
        self.created = int(time.time())
        self.plan, self.questions, self.follows = plan, questions, follows
        self.events: asyncio.Queue[Turn | Growing | None] = asyncio.Queue()
        names = [self.id if len(questions) == 1 else f"{self.id}-{place}" for place in range(len(questions))]
        self.task = asyncio.create_task(player.play_all(self, list(zip(names, questions, strict=True))))

    def cancel(self) -> None:
        """End it; what engines have under way ends at their next step."""
        self.task.cancel()


class Tally:
    """What counts debates; this one does not."""

    def said(self, turn: Turn) -> None:
        """Count a turn."""

    def ended(self, outcome: str, seconds: float) -> None:
        """Count a debate: `answered`, `failed` or `cancelled`."""


class Player:
    """Plays debates for requests.

    Args:
        limits: of the server.
        tally: counts them.
        out: folder for the runs, one each debate; None to keep none.
        observer: told of each debate by the one that it returns for it (`Observer.of_debate`).
    """

    def __init__(
        self, limits: Limits, tally: Tally | None = None, out: Path | None = None, observer: Observer | None = None
    ) -> None:
        self._limits, self._tally, self._out = limits, tally or Tally(), out
        self._observer = observer or Observer()
        self.admission = Admission(limits.max_concurrent, limits.max_queue)
        self.long_texts = LongTexts()
        self._jobs: set[asyncio.Task[list[Outcome]]] = set()

    def start(self, plan: Plan, questions: Sequence[Question], *, follows: bool = False) -> Job:
        """Begin a request's debates; see `Job`.

        Raises:
            ApiError: 429, too many are played and wait.
        """
        self.admission.enter(len(questions))
        job = Job(self, plan, questions, follows=follows)
        self._jobs.add(job.task)

        def end(task: "asyncio.Task[list[Outcome]]") -> None:
            self._jobs.discard(task)
            self.admission.leave(len(questions))
            if not task.cancelled():
                # Looked at, so that an error that nobody waits for is not reported as lost.
                task.exception()
            job.events.put_nowait(None)

        # Not in the task itself: one that is cancelled before it begins runs nothing of it.
        job.task.add_done_callback(end)
        return job

    async def play_all(self, job: Job, named: Sequence[tuple[str, Question]]) -> list[Outcome]:
        """Return the outcomes of a job's debates, within the time limit."""
        try:
            async with asyncio.timeout(self._limits.timeout_s) as limit, asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._play(job, name, question)) for name, question in named]
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ApiError(
                504, f"the debate did not end within {self._limits.timeout_s:g} s; ask for fewer rounds", code="timeout"
            ) from error
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return [task.result() for task in tasks]

    async def side_by_side(self, parts: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """Return what parts of a request come to that is no debate, each in a place of one and within the time limit.

        Raises:
            ApiError: 429, no place; 504, it took too long.
        """
        try:
            self.admission.enter(len(parts))
        except ApiError:
            for part in parts:
                part.close()
            raise

        async def placed(part: Coroutine[Any, Any, T]) -> T:
            async with self.admission.place():
                return await part

        try:
            async with asyncio.timeout(self._limits.timeout_s) as limit, asyncio.TaskGroup() as group:
                tasks = [group.create_task(placed(part)) for part in parts]
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ApiError(504, f"it did not end within {self._limits.timeout_s:g} s", code="timeout") from error
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        finally:
            self.admission.leave(len(parts))
        return [task.result() for task in tasks]

    async def _play(self, job: Job, name: str, question: Question) -> Outcome:
        async with self.admission.place():
            start = time.perf_counter()
            try:
                outcome = await self._observed(job, name, question)
            except asyncio.CancelledError:
                self._tally.ended("cancelled", time.perf_counter() - start)
                raise
            except Exception:
                self._tally.ended("failed", time.perf_counter() - start)
                raise
            self._tally.ended("answered", time.perf_counter() - start)
            return outcome

    async def _observed(self, job: Job, name: str, question: Question) -> Outcome:
        """Play a debate, with whoever watches told of its beginning and its end, however it ends."""
        plan = job.plan
        observer = self._observer.of_debate(name)
        observer.method_started(plan.method, plan.debate, 1, plan.engines)
        observer.debate_started(question)
        try:
            outcome = await self._debate(job, name, question, observer)
        except BaseException as error:
            observer.debate_failed(question, str(error) or type(error).__name__)
            raise
        observer.debate_decided(question, outcome.decision, None)
        return outcome

    async def _debate(self, job: Job, name: str, question: Question, observer: Observer) -> Outcome:
        plan, tell = job.plan, job.events.put_nowait
        debate = plan.debate
        if job.follows:

            def grow(_: Question, key: TurnKey, text: str) -> None:
                if plan.speaks_plainly(key.agent):
                    tell(Growing(key, text))

            debate = replace(debate, on_text=grow)
        with self._record(plan, name) as record:
            faults = Faults(plan.config.execution, record)
            if record is not None:
                record.open(1, plan.debate.protocol.num_turns)
                record.begin(question)

            def on_turn(question: Question, turn: Turn) -> Turn:
                cost = faults.costs.pop((question.id, turn.key))
                turn = vouched(plan.debate, question, turn, record)
                if record is not None:
                    record.append_turn(question, turn, cost)
                self._tally.said(turn)
                observer.turn_said(question, turn)
                tell(turn)
                return turn

            await self.long_texts.check(plan, question.text)
            transcript = await play(debate, question, take=faults.take, on_start=observer.turn_started, on_turn=on_turn)
            decision = plan.decide(transcript)
            if record is not None:
                record.append_decision(question, decision, {})
            return Outcome(decision, transcript, spoken_for(plan, transcript, decision))

    @contextlib.contextmanager
    def _record(self, plan: Plan, name: str) -> Iterator[MethodJournal | None]:
        """Yield the journal of a debate, which is a run of its own; None where none is kept."""
        if self._out is None:
            yield None
            return
        with RunFolder(self._out / name, plan.config, asked={"limit": 1, "data": None}) as folder:
            folder.note_models(engine.fingerprint for engine in plan.engines)
            yield folder.method(plan.method)
            folder.finish(load(DECODING, "record", "")(plan.engines))

    async def drain(self) -> None:
        """Cancel what is under way and wait until it has ended."""
        jobs = list(self._jobs)
        for task in jobs:
            task.cancel()
        with contextlib.suppress(DebateError):
            await asyncio.gather(*jobs, return_exceptions=True)
        self.long_texts.close()
