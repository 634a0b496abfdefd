"""Play every method over the same questions, score what it decides, write it down as it happens."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from debate.cancel import cancellable
from debate.config import DebateConfig, method_config, method_names
from debate.decision import Rule, decision_rule
from debate.observer import Observer, Silent
from debate.orchestrator import Debate
from debate.player import play_questions
from debate.results import MethodResult
from debate.run_folder import MethodJournal, RunFolder
from debate.setup import Backends, build_debate
from debate.transcript import Question
from evals.task import Sample, Task, create_task


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

    Where `out` holds an earlier run of the same arguments, it is continued: nothing that was said is said again.

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
    asked = {"methods": names, "limit": limit, "data": None if data is None else str(data)}
    try:
        with RunFolder(out, config, asked=asked, overwrite=overwrite) as folder:
            for warning in folder.warnings:
                progress(warning)
            if folder.is_resumed:
                progress(
                    f"going on with {out}: {sum(row.turns for row in folder.results.rows.values())} turns are there"
                )
            targets = {sample.question: sample.target for sample in samples}
            debates = {
                name: build_debate(changed, backends, extract=task.extract, targets=targets)
                for name, changed in configs.items()
            }
            folder.note_models({str(backend.fingerprint.model): backend.fingerprint for backend in backends.started})
            for name, debate in debates.items():
                observer.method_started(name, debate, len(samples), backends.started)
                record = folder.method(name)
                rule = decision_rule(configs[name].decision, backends.decode)
                async with cancellable(out):
                    await _play_method(configs[name], rule, debate, task, samples, record, observer)
                observer.method_finished(record.result)
                folder.write_results()
            folder.finish(_facts(config, debates))
            return [folder.method(name).result for name in debates]
    finally:
        await backends.close()


async def _play_method(
    config: DebateConfig,
    rule: Rule,
    debate: Debate,
    task: Task,
    samples: Sequence[Sample],
    record: MethodJournal,
    observer: Observer,
) -> None:
    """Play one method over all samples, many debates side by side."""
    temperatures = config.temperatures
    targets = {sample.id: sample.target for sample in samples}
    await play_questions(
        debate,
        [Question(sample.id, sample.question) for sample in samples],
        decide=lambda transcript: rule(transcript, temperatures, task.extract),
        judge=lambda question, decision: task.score(decision.answer, targets[question.id]),
        record=record,
        observers=[observer],
        execution=config.execution,
    )


def _facts(config: DebateConfig, debates: Mapping[str, Debate]) -> dict[str, Any]:
    models = {
        str(agent.backend.fingerprint.model): vars(agent.backend.fingerprint)
        for debate in debates.values()
        for agent in debate.agents.values()
    }
    packages = {name: version(name) for name in ("cipher-debate", "torch", "transformers")}
    return {"python": platform.python_version(), "packages": packages, "models": models, "dtype": config.dtype}
