"""`debate run`: play questions one after the other for somebody who watches."""

import contextlib
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from agents.errors import RunError
from agents.question import Question
from debate.build import build_debate
from debate.cli.options import console, progress
from debate.config.schema import DebateConfig
from debate.decision.decision import Decision, Poll
from debate.decision.rules import decision_rule
from debate.orchestrator import OnText
from debate.run_folder.cancel import cancellable
from debate.run_folder.folder import RunFolder
from debate.runtime.backends import Backends
from debate.runtime.batch import play_questions
from debate.runtime.observer import Observer
from debate.transcript import Transcript
from evals.cli.screen import Screen
from evals.evaluation import Selection, sayable, with_scoring, worked
from evals.provenance import decoding
from evals.sample import Sample, Score
from evals.samples import to_question
from evals.scorer import SafeExtract, Scorer


class _Failures(Observer):
    """Keeps why questions were given up."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def debate_failed(self, question: Question, reason: str) -> None:
        """Keep one."""
        self.reasons.append(reason)


async def watch(
    config: DebateConfig,
    question: str | None,
    limit: int,
    data: Path | None,
    out: Path | None,
    overwrite: bool,
    *,
    on_folder: Callable[[Path], AbstractContextManager[OnText]] | None = None,
) -> None:
    """Debate the given question, or the first questions of the config's task, and print what is said and decided.

    Args:
        config: the debate.
        question: what is debated; None asks the task's own.
        limit, data: of the task's questions.
        out: the run folder; None keeps nothing.
        overwrite: delete an earlier run in it.
        on_folder: opens what watches the folder once there is a run in it, and returns what is told of messages as they grow.
    """
    task = Selection(data=data).task(config)
    config = with_scoring(config, task)
    samples = [Sample("question", question, "")] if question else task.samples(limit)
    questions = [to_question(sample, task) for sample in samples]
    scorer = Scorer(task, samples)
    backends = Backends(config, progress)
    failures = _Failures()
    rule = decision_rule(config.decision, backends.decode)

    def judge(transcript: Transcript, decision: Decision) -> Score | None:
        return scorer.judge(transcript, decision) if scorer.target(transcript.question.id) else None

    try:
        targets, solutions = ({}, {}) if question else (sayable(task, samples), worked(task, samples))
        debate = build_debate(
            config, backends, extract=SafeExtract(task), targets=targets, solutions=solutions, questions=questions
        )
        async with contextlib.AsyncExitStack() as stack:
            asked = {"question": question, "limit": limit, "data": None if data is None else str(data)}
            folder = stack.enter_context(RunFolder(out, config, asked=asked, overwrite=overwrite)) if out else None
            record = folder.method(config.message) if folder else None
            if folder:
                for warning in folder.warnings:
                    progress(warning)
                if folder.is_resumed:
                    progress(
                        f"continuing {out}; decided questions are not played again (debate show {shlex.quote(str(out))})"
                    )
                folder.note_models(backend.fingerprint for backend in backends.started)
            if out:
                await stack.enter_async_context(cancellable(out))
            if out and on_folder is not None:
                debate = replace(debate, on_text=stack.enter_context(on_folder(out)))
            screen = stack.enter_context(Screen(verbose=True))
            screen.method_started(config.message, debate, len(samples), backends.started)
            await play_questions(
                debate,
                questions,
                decide=lambda transcript: rule(
                    Poll(transcript, config.electorate, scorer.reader(transcript.question.id), scorer.same)
                ),
                judge=judge,
                record=record,
                observers=[screen.of_method(config.message), failures],
                execution=config.execution.model_copy(update={"in_flight": 1}),
            )
            if folder:
                folder.finish(decoding(backends.started))
            if samples and len(failures.reasons) == len(samples):
                raise RunError(f"no question was answered; the last one: {failures.reasons[-1]}")
        if out:
            console.print(f"transcript: {out}", markup=False)
    finally:
        await backends.close()
