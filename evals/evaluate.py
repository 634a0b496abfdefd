"""Play every method over the same questions, score what it decides, write it down as it happens."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from debate.config import DebateConfig, method_config, method_names
from debate.decision import Decision, Rule, decision_rule
from debate.observer import Observer, Silent
from debate.orchestrator import Debate
from debate.player import play_questions
from debate.run_folder import MethodFolder, RunFolder
from debate.setup import Backends, build_debate
from debate.transcript import Question, Turn
from evals.task import Sample, Score, Task, create_task


@dataclass
class MethodResult:
    """One row of the table.

    Fields:
        method: its name.
        correct, no_answer, total: questions.
        turns, planned_turns: said, and without stopping; the difference is what stopping saved.
        prompt_tokens, cached_tokens, generated_tokens: over all turns; cached ones are part of the prompt's.
        message_bytes: of everything said.
        seconds: wall time of the method, engines already started.
        transcripts: the method's folder.
    """

    method: str
    correct: int = 0
    no_answer: int = 0
    total: int = 0
    turns: int = 0
    planned_turns: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    message_bytes: int = 0
    seconds: float = 0.0
    transcripts: str = ""
    answers: dict[str, str | None] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Share of the questions answered correctly; no answer is not correct."""
        return self.correct / self.total if self.total else 0.0

    def count_turn(self, turn: Turn) -> None:
        """Add a turn's cost."""
        self.turns += 1
        self.prompt_tokens += turn.usage.prompt_tokens
        self.cached_tokens += turn.usage.cached_tokens
        self.generated_tokens += turn.usage.generated_tokens
        self.message_bytes += turn.message.num_bytes

    def count_score(self, question: Question, score: Score) -> None:
        """Add a decided question."""
        self.total += 1
        self.correct += score.value == "correct"
        self.no_answer += score.value == "no answer"
        self.answers[question.id] = score.answer


async def evaluate(
    config: DebateConfig,
    *,
    out: Path,
    methods: Sequence[str] = (),
    limit: int | None = None,
    data: Path | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
    progress: Any = lambda _: None,
) -> list[MethodResult]:
    """Return one result per method over the same questions; everything is in the run folder as well.

    Args:
        config: the debate and its methods.
        out: the run folder.
        methods: which rows; all of the config's by default.
        limit: most questions.
        data: a local benchmark file.
        overwrite: delete an earlier run in `out`.
        observer: told of everything as it happens.
        progress: called with a sentence for each slow step of a start.
    """
    observer = observer or Silent()
    names = list(methods) or list(method_names(config))
    configs = {name: method_config(config, name) for name in names}
    task = create_task(config.task, seed=config.seed, data=data)
    samples = task.samples(limit)
    backends = Backends(config, progress)
    results: list[MethodResult] = []
    try:
        with RunFolder(out, config, overwrite=overwrite) as folder:
            targets = {sample.question: sample.target for sample in samples}
            debates = {
                name: build_debate(changed, backends, extract=task.extract, targets=targets)
                for name, changed in configs.items()
            }
            for name, debate in debates.items():
                observer.method_started(name, debate, len(samples), backends.started)
                with folder.method(name) as record:
                    rule = decision_rule(configs[name].decision, backends.decode)
                    result = await _play_method(name, configs[name], rule, debate, task, samples, record, observer)
                results.append(result)
                observer.method_finished(result)
                folder.write_results(_results(config, results))
            folder.write_status("finished", _facts(config, debates))
    finally:
        await backends.close()
    return results


class _Counting(Silent):
    """Adds what a method costs and comes to, to its row."""

    def __init__(self, row: MethodResult, planned_turns: int) -> None:
        self._row, self._planned_turns = row, planned_turns

    def turn_said(self, question: Question, turn: Turn) -> None:
        """Add a turn's cost."""
        self._row.count_turn(turn)

    def debate_decided(self, question: Question, decision: Decision, score: Score) -> None:
        """Add a decided question."""
        self._row.count_score(question, score)
        self._row.planned_turns += self._planned_turns


async def _play_method(
    name: str,
    config: DebateConfig,
    rule: Rule,
    debate: Debate,
    task: Task,
    samples: Sequence[Sample],
    record: MethodFolder,
    observer: Observer,
) -> MethodResult:
    """Play one method over all samples, many debates side by side."""
    result = MethodResult(name, transcripts=str(record.path))
    temperatures = config.temperatures
    targets = {sample.id: sample.target for sample in samples}
    begin = time.perf_counter()
    await play_questions(
        debate,
        [Question(sample.id, sample.question) for sample in samples],
        decide=lambda transcript: rule(transcript, temperatures, task.extract),
        judge=lambda question, decision: task.score(decision.answer, targets[question.id]),
        record=record,
        observers=[_Counting(result, debate.protocol.num_turns), observer],
    )
    result.seconds = time.perf_counter() - begin
    return result


def _results(config: DebateConfig, results: Sequence[MethodResult]) -> dict[str, Any]:
    rows = {row.method: {**vars(row), "accuracy": row.accuracy} for row in results}
    return {"task": config.task, "model": config.model, "backend": config.backend, "seed": config.seed, "methods": rows}


def _facts(config: DebateConfig, debates: Mapping[str, Debate]) -> dict[str, Any]:
    models = {
        str(agent.backend.fingerprint.model): vars(agent.backend.fingerprint)
        for debate in debates.values()
        for agent in debate.agents.values()
    }
    packages = {name: version(name) for name in ("cipher-debate", "torch", "transformers")}
    return {"python": platform.python_version(), "packages": packages, "models": models, "dtype": config.dtype}
