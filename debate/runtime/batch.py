"""One debate over many questions: played side by side, decided, written down, then shown. `run` and `eval` both use it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from agents.errors import PromptTooLong
from agents.question import Question
from debate.config.execution import ExecutionConfig
from debate.decision.decision import Decision
from debate.memory import Earlier
from debate.orchestrator import Debate, play
from debate.run_folder.method_journal import MethodJournal
from debate.runtime.demands import refuse_undemanded, vouched
from debate.runtime.faults import Faults, GivenUp
from debate.runtime.observer import AnswerScore, Observer
from debate.transcript import Transcript, Turn, TurnKey

if TYPE_CHECKING:
    from debate.runtime.ray.runners import Runners

Decide = Callable[[Transcript], Decision]
Judge = Callable[[Transcript, Decision], AnswerScore | None]


async def play_questions(
    debate: Debate,
    questions: Sequence[Question],
    *,
    decide: Decide,
    judge: Judge = lambda transcript, decision: None,
    record: MethodJournal | None = None,
    observers: Sequence[Observer] = (),
    execution: ExecutionConfig | None = None,
    runners: "Runners | None" = None,
    places: asyncio.Semaphore | None = None,
) -> None:
    """Play a debate over every question; what was said and decided is written down before anyone is told of it.

    Args:
        debate: agents and protocol.
        questions: begun in this order; one after the other where agents remember them (memory: questions).
        decide: transcript → decision.
        judge: transcript and decision → verdict, where the right answer is known.
        record: destination of the turns; what it already holds is not played again.
        observers: receive every event as it happens.
        execution: debates at once, time-out and tries.
        runners: processes that play the debates; this one does by default.
        places: for debates under way, where other methods are played at the same time; its own by default.

    Raises:
        DebateError: a mistake that trying again does not mend, of the first debate that meets it; the others are ended.
    """
    told = observers or (Observer(),)
    execution = execution or ExecutionConfig()
    faults = Faults(execution, record)

    def on_start(question: Question, turn: TurnKey) -> None:
        for observer in told:
            observer.turn_started(question, turn)

    def on_turn(question: Question, turn: Turn) -> Turn:
        cost = faults.costs.pop((question.id, turn.key))
        turn = vouched(debate, question, turn, record)
        if record is not None:
            record.append_turn(question, turn, cost)
        for observer in told:
            observer.turn_said(question, turn)
        return turn

    def end(question: Question, transcript: Transcript) -> None:
        decision = decide(transcript)
        verdict = judge(transcript, decision)
        if record is not None:
            scored = {"score": verdict.value, "target": verdict.target} if verdict else {}
            if verdict and verdict.value == "failed":
                scored["score_reason"] = verdict.reason
            record.append_decision(question, decision, scored)
        for observer in told:
            observer.debate_decided(question, decision, verdict)

    def give_up(question: Question, reason: str) -> None:
        if record is not None:
            record.append_failed(question, reason)
        for observer in told:
            observer.debate_failed(question, reason)

    # A question that was given up has no place in it: nothing of it is remembered.
    earlier: Earlier | None = {} if debate.remembers_questions else None
    if record is not None:
        record.open(len(questions), debate.protocol.num_turns)
        if earlier is not None:
            for decided in record.decided(questions):
                earlier = await debate.remembered(decided, earlier)
        questions = [question for question in questions if not record.is_over(question)]
    waiting = iter(questions)

    async def one(question: Question) -> None:
        nonlocal earlier
        for observer in told:
            observer.debate_started(question)
        before = record.begin(question) if record is not None else None
        if before:
            for observer in told:
                observer.debate_continued(question, len(before))
        try:
            for turn in (before or {}).values():
                refuse_undemanded(debate, question, turn, record)
            if runners is None or faults.has_strikes(question):
                transcript = await play(
                    debate,
                    question,
                    before=before,
                    earlier=earlier,
                    take=faults.take,
                    on_start=on_start,
                    on_turn=on_turn,
                )
            else:
                transcript = await runners.play(
                    debate, question, before or {}, earlier, faults=faults, on_start=on_start, on_turn=on_turn
                )
        except GivenUp as failure:
            give_up(question, str(failure))
        except PromptTooLong as failure:
            # Of this question: others may be shorter.
            method = "" if record is None else f", method {record.name}"
            give_up(question, f"question {question.id}{method}: {failure}")
        else:
            end(question, transcript)
            if earlier is not None:
                earlier = await debate.remembered(transcript, earlier)

    places = places or asyncio.Semaphore(execution.in_flight)

    async def player() -> None:
        for question in waiting:
            async with places:
                await one(question)

    at_once = execution.in_flight if earlier is None else 1
    await all_or_first_error([player() for _ in range(min(at_once, len(questions)))])


async def all_or_first_error(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Wait for all of them; when one fails end the others and raise its error."""
    if len(coroutines) == 1:
        # Without a task between: an interrupt that is raised inside would end the loop once for each.
        await coroutines[0]
        return
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
