"""Play every method over the same questions, score what it decides, write it down as it happens."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.atomic_file import write_atomic, write_json
from agents.backends.human import PERSON
from agents.errors import ConfigError, RunError
from agents.question import Question
from debate.build import build_debate
from debate.config.execution import ExecutionConfig
from debate.config.load import load_config, to_yaml
from debate.config.schema import DebateConfig
from debate.contents import swaps
from debate.decision.decision import Poll
from debate.decision.rules import decision_rule
from debate.orchestrator import Debate
from debate.protocol.exchange import build_exchange
from debate.run_folder.cancel import cancellable
from debate.run_folder.facts import read_facts
from debate.run_folder.folder import RunFolder
from debate.run_folder.results import MethodResult
from debate.runtime.backends import Backends
from debate.runtime.batch import all_or_first_error, play_questions
from debate.runtime.loop_thread import LoopThread
from debate.runtime.observer import Observer
from evals.energy import Energy, EnergyMeter, read_energy
from evals.label_tokens import write_label_tokens
from evals.methods import BY_TIME, BY_TOKENS, budget, method_names, needs_budget, resolve, row_name
from evals.plan import Plan, write_plan
from evals.provenance import provenance
from evals.sample import Sample
from evals.samples import load_selected, read_kept, to_question, write_samples
from evals.scorer import SafeExtract, Scorer
from evals.task import Shot, Task, create_task

SIDE_BY_SIDE = "not known of a row: rows were played side by side"


@dataclass(frozen=True)
class Selection:
    """Which questions are asked; the same for every method.

    Attributes:
        limit: maximum number of questions.
        shuffle: ask them in an order drawn from the seed instead of the source's.
        sample_ids: ask only the questions with these ids.
        split: split of the task (default: its first).
        num_fewshot: number of worked examples in the prompt (default: the task's own).
        data: local benchmark file or folder.
        revision: revision of the hub's repository.
    """

    limit: int | None = None
    shuffle: bool = False
    sample_ids: tuple[str, ...] = ()
    split: str | None = None
    num_fewshot: int | None = None
    data: Path | None = None
    revision: str | None = None

    def task(self, config: DebateConfig, split: str | None = None) -> Task:
        """Return the task of a config with the split, examples and files that are chosen; `data` wins over the config's."""
        return create_task(
            config.task,
            seed=config.seed,
            data=self.data or (None if config.data is None else Path(config.data)),
            split=split or self.split,
            num_fewshot=self.num_fewshot,
            revision=self.revision,
            columns=config.columns or None,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the selection as a run's journal keeps it."""
        return {
            **vars(self),
            "sample_ids": list(self.sample_ids),
            "data": None if self.data is None else str(self.data),
        }


async def evaluate(
    config: DebateConfig,
    *,
    out: Path,
    methods: Sequence[str] = (),
    limit: int | None = None,
    data: Path | None = None,
    selection: Selection | None = None,
    samples: Sequence[Sample] | None = None,
    overwrite: bool = False,
    backends: Backends | None = None,
    observer: Observer | None = None,
    plan: Plan | None = None,
    progress: Any = lambda _: None,
) -> list[MethodResult]:
    """Return one result per method over the same questions; everything is in the run folder as well.

    If `out` holds an earlier run with the same arguments, it is continued and no turn is taken twice. Rows
    `self-consistency@…` are played last, because their number of votes follows from what the debates cost.

    Examples:
        >>> import asyncio
        >>> from pathlib import Path
        >>> from debate import load_config
        >>> rows = asyncio.run(evaluate(load_config("smoke"), out=Path("runs/smoke"), limit=4))
        >>> [(row.method, row.correct, row.total) for row in rows]
        [('single', 4, 4), ('text', 4, 4), ('cipher', 4, 4)]

    Args:
        config: the debate and its methods.
        out: the run folder.
        methods: methods to play, by name (default: all of the config's); see docs/evaluation.md.
        limit, data: short for `selection=Selection(limit=…, data=…)`.
        selection: choice of questions.
        samples: the questions themselves, as a task loaded them.
        overwrite: delete an earlier run in `out`.
        backends: engines that outlive this evaluation (default: its own, started and closed).
        observer: receives every event as it happens.
        plan: what the run is to show; it is written down before the first turn, and `methods` and questions are to be its own.
        progress: called with a sentence for each slow step of the start.

    Raises:
        ConfigError: two arguments choose questions, so that one would have no effect.
        DebateError: a mistake that the user can mend; mistakes in any method are found before the first is played.
    """
    observer = observer or Observer()
    chosen = _selection(limit, data, selection, samples)
    names = _rows(methods or method_names(config))
    together = _played_together(names, config.execution)
    task = chosen.task(config)
    config = with_scoring(config, task)
    configs = {row: resolve(config, name) for row, name in names.items()}
    examples = task.shots()
    shots = [(shot.question, shot.solution) for shot in examples]
    if task.num_fewshot and not shots:
        progress(
            f"{config.task}: no worked examples, of {task.num_fewshot} by default: {task.data} has no rows for them"
        )
    available = len(samples or ())
    if samples is None:
        samples, available = _selected(task, chosen, config, examples, progress)
    if not samples:
        raise ConfigError(f"task {config.task}: no questions are left to ask; raise --limit, or choose another split")
    scorer = Scorer(task, samples)
    targets, solutions = sayable(task, samples), worked(task, samples)
    engines = backends or Backends(config, progress)
    asked = {**chosen.as_json(), "methods": list(names.values())}
    if plan is not None:
        asked["plan"] = plan.sha256

    asked_questions = [to_question(sample, task) for sample in samples]

    def build(played: DebateConfig) -> Debate:
        return build_debate(
            played,
            engines,
            extract=SafeExtract(task),
            targets=targets,
            solutions=solutions,
            shots=shots,
            questions=asked_questions,
        )

    try:
        others = "" if overwrite else _other_questions(out, samples)
        fixed = others or _chosen_by_questions(out, names, configs)
        with RunFolder(out, config, asked=asked, overwrite=overwrite, fixed=fixed) as folder:
            if others and folder.is_resumed:
                raise RunError(others)
            if plan is not None:
                write_plan(out, plan, is_begun=folder.is_resumed)
            write_samples(out, samples)
            debates = {row: build(played) for row, played in configs.items()}
            _tell_of_earlier(folder, progress)
            _tell_of_people(debates, len(samples), progress)
            folder.note_models(backend.fingerprint for backend in engines.started)
            write_label_tokens(out, {label for sample in samples for label in task.labels(sample)}, engines.started)
            facts = {**provenance(config, debates, configs), "limit": chosen.limit, "num_samples": available}
            for rows in together:
                for row in rows:
                    if needs_budget(names[row]):
                        k = _chosen_k(folder, names[row], progress)
                        configs[row] = resolve(config, names[row], k=k)
                        debates[row] = build(configs[row])
                    write_atomic(out / row / "config.yaml", to_yaml(configs[row]))
                    observer.method_started(row, debates[row], len(samples), engines.started)
                    if (before := folder.state.results.get(row)) is not None:
                        observer.method_continued(before)
                played = {row: (configs[row], debates[row]) for row in rows}
                async with cancellable(out):
                    await _play(folder, played, scorer, samples, engines, observer)
                folder.write_results()
            folder.finish({**facts, **provenance(config, debates, configs)})
            return [folder.method(row).result for row in names]
    finally:
        if backends is None:
            await engines.close()


def with_scoring(config: DebateConfig, task: Task) -> DebateConfig:
    """Return a config that names the scoring of its task, where the questions told which: `file` → `file:number`."""
    is_told = config.task == "file" and task.name.startswith("file:")
    return config.model_copy(update={"task": task.name}) if is_told else config


def sayable(task: Task, samples: Sequence[Sample]) -> dict[Question, str]:
    """Return question → right answer, for the agents that are given it; none where no answer can be said."""
    said = {Question(sample.id, sample.question): task.spoken(sample) for sample in samples}
    return {question: target for question, target in said.items() if target is not None}


def worked(task: Task, samples: Sequence[Sample]) -> dict[Question, str]:
    """Return question → a right solution in words, likewise."""
    return {
        Question(sample.id, sample.question): task.solution(sample)
        for sample in samples
        if task.spoken(sample) is not None
    }


def evaluate_sync(config: DebateConfig | Path | str, *, out: Path | str, **arguments: Any) -> list[MethodResult]:
    """Return what `await evaluate(…)` returns, without an await: in a script, or in a notebook, where a loop runs already.

    Args:
        config: a config, or the file or name of one, e.g. `smoke`.
        out: the run folder.
        arguments: the arguments of `evaluate`.
    """
    loaded = config if isinstance(config, DebateConfig) else load_config(config)
    with LoopThread() as loop:
        return loop.run(evaluate(loaded, out=Path(out), **arguments))


def _played_together(names: Mapping[str, str], execution: ExecutionConfig) -> list[tuple[str, ...]]:
    """Return which rows are played at the same time, in the order played; those last whose k follows from the others.

    Raises:
        ConfigError: a row takes its k from wall times, which rows side by side do not have.
    """
    if not execution.rows_at_once:
        return [(row,) for row in sorted(names, key=lambda row: needs_budget(names[row]))]
    if BY_TIME in names.values():
        raise ConfigError(
            f"{BY_TIME} takes its k from wall times, which rows that are played side by side do not have: leave "
            f"execution.rows_at_once out, or take {BY_TOKENS}"
        )
    return [
        tuple(row for row in names if not needs_budget(names[row])),
        *((row,) for row in names if needs_budget(names[row])),
    ]


async def _play(
    folder: RunFolder,
    rows: Mapping[str, tuple[DebateConfig, Debate]],
    scorer: Scorer,
    samples: Sequence[Sample],
    backends: Backends,
    observer: Observer,
) -> None:
    """Play methods over all samples, many debates side by side: no more at a time than one method would have."""
    questions = [to_question(sample, scorer.task) for sample in samples]
    shared = asyncio.Semaphore(folder.config.execution.in_flight)

    async def one(row: str, config: DebateConfig, debate: Debate) -> None:
        rule, electorate = decision_rule(config.decision, backends.decode), config.electorate
        meter = EnergyMeter()
        await play_questions(
            debate,
            questions,
            decide=lambda transcript: rule(
                Poll(transcript, electorate, scorer.reader(transcript.question.id), scorer.same)
            ),
            judge=scorer.judge,
            record=folder.method(row),
            observers=[observer.of_method(row)],
            execution=config.execution,
            runners=backends.runners(),
            places=shared,
        )
        energy = Energy(None, SIDE_BY_SIDE) if folder.config.execution.rows_at_once else meter.read()
        _add_energy(folder.path / "energy.json", row, energy)
        observer.method_finished(folder.method(row).result)

    await all_or_first_error([one(row, config, debate) for row, (config, debate) in rows.items()])


def _selection(
    limit: int | None, data: Path | None, selection: Selection | None, samples: Sequence[Sample] | None
) -> Selection:
    """Return the selection that the arguments of an evaluation make.

    Raises:
        ConfigError: an argument would have no effect.
    """
    given = ", ".join(f"{name}={value!r}" for name, value in (("limit", limit), ("data", data)) if value is not None)
    if given and selection is not None:
        raise ConfigError(f"evaluate: {given} beside a selection has no effect; write Selection({given}, …) instead")
    chosen, default = selection or Selection(limit=limit, data=data), Selection()
    if samples is not None:
        for name in ("limit", "shuffle", "sample_ids"):
            if (value := getattr(chosen, name)) != getattr(default, name):
                raise ConfigError(
                    f"evaluate: {name}={value!r} beside samples has no effect; give the samples to ask, in order"
                )
    return chosen


def _selected(
    task: Task, chosen: Selection, config: DebateConfig, shown: Sequence[Shot], progress: Any
) -> tuple[Sequence[Sample], int]:
    """Return the questions of a selection, and of how many they were chosen; say what was left out."""
    samples, loaded = load_selected(
        task,
        limit=chosen.limit,
        shuffle=chosen.shuffle,
        seed=config.seed,
        sample_ids=chosen.sample_ids,
        shown=shown,
    )
    for reason, count in loaded.removed.items():
        progress(f"{config.task}: {count} of {loaded.rows_in} rows left out: {reason}")
    return samples, len(loaded.samples)


def _other_questions(out: Path, samples: Sequence[Sample]) -> str:
    """Return a sentence where an earlier run in a folder asked others than the first of these questions; else nothing."""
    for place, (kept, now) in enumerate(zip(read_kept(out), samples, strict=False), start=1):
        if kept.differs(now):
            before = kept.sample
            same = (before.id, before.question, before.target) == (now.id, now.question, now.target)
            other = "the same words about another picture or sound" if same else f"{now.id!r} ({now.question[:60]!r})"
            return (
                f"{out} holds a run over other questions: its question {place} is {before.id!r} ({before.question[:60]!r}), and "
                f"now {other}. Choose another folder with --out, or pass --overwrite."
            )
    return ""


def _chosen_by_questions(out: Path, rows: Mapping[str, str], configs: Mapping[str, DebateConfig]) -> str:
    """Return a sentence where a row of a run follows from which questions are asked, so that none can be added."""
    for row in (row for row, name in rows.items() if needs_budget(name)):
        return (
            f"{out} has the row {row}, whose number of votes was chosen by what the debates over its questions cost; with more "
            "questions it would be another. Choose another folder with --out, or pass --overwrite."
        )
    for row in (row for row, config in configs.items() if swaps(build_exchange(config))):
        return (
            f"{out} has the row {row}, which hears what was said about the run's next question; with more questions the next "
            "of the last one would be another. Choose another folder with --out, or pass --overwrite."
        )
    return ""


def _tell_of_earlier(folder: RunFolder, progress: Any) -> None:
    """Say what an earlier session left, and what of it was damaged."""
    for warning in folder.warnings:
        progress(warning)
    if folder.is_resumed:
        turns = sum(result.turns for result in folder.state.results.values())
        progress(f"continuing {folder.path}: {turns} turns are on disk")


def _tell_of_people(debates: Mapping[str, Debate], count: int, progress: Any) -> None:
    """Say how much is asked of the people among the agents."""
    people = {
        name: row
        for row, debate in debates.items()
        for name, agent in debate.agents.items()
        if agent.backend.fingerprint == PERSON
    }
    if people:
        rows = [row for row, debate in debates.items() if people.keys() & debate.agents.keys()]
        progress(
            f"{', '.join(people)}: a person answers at this terminal, in {count} questions of each of {len(rows)} methods "
            f"({', '.join(rows)}), every turn in turn. Fewer are asked with --limit and --methods; what was answered is kept."
        )


def _rows(methods: Sequence[str]) -> dict[str, str]:
    """Return row → method.

    Raises:
        ConfigError: two methods would be one row.
    """
    rows: dict[str, str] = {}
    for name in methods:
        row = row_name(name)
        if row in rows:
            raise ConfigError(f"methods {rows[row]!r} and {name!r} would both be the row {row!r}; name each once")
        rows[row] = name
    return rows


def _chosen_k(folder: RunFolder, name: str, progress: Any) -> int:
    """Return k of a budget row: what an earlier session chose, or what the rows played so far ask for."""
    path = folder.path / "budgets.json"
    chosen = read_facts(path)
    if name not in chosen:
        k, reason = budget(name, folder.state.results)
        chosen[name] = {"k": k, "reason": reason}
        write_json(path, chosen)
    progress(f"{name}: {chosen[name]['reason']}")
    return int(chosen[name]["k"])


def _add_energy(path: Path, row: str, spent: Energy) -> None:
    """Add what a method spent in this session to what earlier ones did."""
    known = read_facts(path)
    if isinstance(known.get(row), dict) and known[row].get("source") == SIDE_BY_SIDE:
        return
    before = read_energy(known[row], path).joules if row in known else None
    joules = spent.joules if before is None or spent.joules is None else spent.joules + before
    known[row] = {"joules": joules, "source": spent.source}
    write_json(path, known)
