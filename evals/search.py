"""Temperatures, or any value of a config, searched on validation questions; the winner is tested once, on others.

The search is part of the paper's method (section 4: 0.01 to 2.0, on 200 validation questions, tested on 200 others).
optuna proposes and remembers, in OUT/study.db, so that an interrupted search goes on. Trials are evaluations in
OUT/trials; those that fall behind are pruned by a Wilcoxon test over questions. The test split is never searched on.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from agents.errors import ConfigError, MissingDependency, RunError, writing_failed
from debate.aside import write_json
from debate.config import DebateConfig, validate
from debate.decision import Decision
from debate.observer import Observer
from debate.results import MethodResult
from debate.setup import Backends
from debate.transcript import Question
from evals.evaluation import Selection, evaluate
from evals.methods import resolve
from evals.paper import BOUNDS, TEMPERATURES
from evals.selection import plain
from evals.task import Sample, Score, Task, create_task

SAMPLERS = ("tpe", "gp", "random", "grid", "paper")
# Pruning looks after so many more questions; earlier than this many nothing is pruned.
PRUNE_EVERY, PRUNE_FROM, PRUNE_P = 10, 30, 0.1
# What an engine is started with cannot vary between trials that share it.
FIXED = ("model", "backend", "dtype", "options", "task", "methods", "seed", "execution")


@dataclass(frozen=True)
class Parameter:
    """One value to search: a range, of whole numbers where both ends are, or a choice."""

    key: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: Any) -> Any:
        """Return optuna's proposal."""
        if self.choices:
            return trial.suggest_categorical(self.key, list(self.choices))
        if self.is_whole:
            return trial.suggest_int(self.key, int(self.low), int(self.high))
        return trial.suggest_float(self.key, self.low, self.high)

    def __str__(self) -> str:
        return f"{self.key}={'|'.join(map(str, self.choices)) if self.choices else f'{self.low}:{self.high}'}"


@dataclass(frozen=True)
class Questions:
    """The two sets of a search, disjoint, and in words how they were divided."""

    validation: Sequence[Sample]
    test: Sequence[Sample]
    how: str


@dataclass(frozen=True)
class Trial:
    """One tried setting; `accuracy` is over the questions that it got to."""

    number: int
    values: Mapping[str, Any]
    accuracy: float | None
    state: str
    questions: int


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Fields:
        trials: all of them, in order.
        best: the winner on the validation questions, the first of equals.
        test: the winner's row on the test questions.
        how: the division of questions.
        importance: parameter → share of the variance that it explains; empty where it cannot be told.
    """

    trials: tuple[Trial, ...]
    best: Trial
    test: MethodResult
    how: str
    importance: Mapping[str, float]


def parse_parameter(text: str) -> Parameter:
    """Return a parameter of `key=low:high` or `key=a|b|c`.

    Raises:
        ConfigError: neither, or a key that a search cannot vary.
    """
    key, equals, rest = text.partition("=")
    if not equals or not (("|" in rest) or (":" in rest)):
        raise ConfigError(
            f"--vary {text!r}: write key.path=low:high or key.path=a|b, e.g. agents.ada.temperature=0.01:2"
        )
    if key.split(".")[0] in FIXED:
        raise ConfigError(f"--vary {text!r}: a search cannot vary {key.split('.')[0]}; all trials share it")
    if "|" in rest:
        return Parameter(key, choices=tuple(yaml.safe_load(choice) for choice in rest.split("|")))
    try:
        low, high = (yaml.safe_load(end) for end in rest.split(":"))
        if (
            isinstance(low, bool)
            or not isinstance(low, int | float)
            or not isinstance(high, int | float)
            or low >= high
        ):
            raise ValueError
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"--vary {text!r}: a range is two numbers, the lower first, e.g. 0.01:2") from error
    return Parameter(key, low, high)


def temperatures_of(config: DebateConfig) -> tuple[Parameter, ...]:
    """Return the temperature of every agent whose answer counts, between the paper's bounds."""
    return tuple(Parameter(f"agents.{name}.temperature", *BOUNDS) for name in config.temperatures)


def divide(
    config: DebateConfig, chosen: Selection, *, split: str | None = None, test_split: str | None = None
) -> Questions:
    """Return the validation and the test questions of a task.

    The task's own splits where it has them (a generated task draws each split from its own seed); else the halves of its
    one split, by the SHA-256 of the question. A test question that is also a validation question is left out.

    Raises:
        ConfigError: the search was to be on the test split.
    """

    def task(name: str | None) -> Task:
        return create_task(config.task, seed=config.seed, data=chosen.data, split=name, revision=chosen.revision)

    splits = task(None).info.splits
    tested = test_split or ("test" if "test" in splits else splits[0])
    searched = split or next((name for name in ("validation", "train") if name in splits and name != tested), None)
    if searched == tested:
        raise ConfigError(
            f"refusing to search on the {tested} split of {config.task}: its winner would be chosen on the questions that it "
            f"is tested on. Search on another: {', '.join(name for name in splits if name != tested) or 'it has none'}."
        )
    if searched is None:
        halves: tuple[list[Sample], list[Sample]] = ([], [])
        for sample in task(tested).samples(None):
            halves[hashlib.sha256(plain(sample.question).encode()).digest()[0] % 2].append(sample)
        how = f"halves of the {tested} split by the SHA-256 of the question"
        validation, test = halves
    else:
        validation = list(task(searched).samples(chosen.limit))
        test = list(task(tested).samples(chosen.limit))
        how = f"the {searched} and {tested} splits of {config.task}, seed {config.seed}"
    validation, test = validation[: chosen.limit], test[: chosen.limit]
    seen = {plain(sample.question) for sample in validation}
    kept = [sample for sample in test if plain(sample.question) not in seen]
    if len(kept) < len(test):
        how += f"; {len(test) - len(kept)} test questions left out that are validation questions too"
    if not validation or not kept:
        raise ConfigError(f"{config.task}: nothing to search or to test on ({how}); raise --limit")
    return Questions(validation, kept, f"{how}; {len(validation)} to search on, {len(kept)} to test on")


async def search(
    config: DebateConfig,
    *,
    out: Path,
    parameters: Sequence[Parameter] = (),
    method: str = "",
    trials: int = 30,
    sampler: str = "tpe",
    prune: bool = True,
    selection: Selection | None = None,
    split: str | None = None,
    progress: Any = lambda _: None,
) -> Found:
    """Return the best setting and its one result on the test questions.

    Args:
        config: what is searched around.
        out: the folder; an interrupted search there goes on.
        parameters: what varies; by default the agents' temperatures, 0.01 to 2.
        method: the row; the config's message by default.
        trials: how many in all, those of earlier sessions included; `grid` plays all combinations, `paper` the paper's only.
        sampler: tpe, gp, random, grid, or paper.
        prune: whether trials that fall behind are given up.
        selection: which questions; `limit` is of each of the two sets.
        split: to search on; the task's validation split by default.
        progress: told of each trial.

    Raises:
        ConfigError: a search on the test split, or of what cannot vary.
        RunError: the folder holds another search, or one that was tested already and is to go on.
    """
    method = method or config.message
    chosen = selection or Selection()
    varied = tuple(parameters) or temperatures_of(config)
    questions = divide(config, chosen, split=split)
    plan = {
        "config": config.model_dump(mode="json", by_alias=True, exclude={"execution"}),
        "method": method,
        "parameters": [str(parameter) for parameter in varied],
        "sampler": sampler,
        "questions": questions.how,
    }
    probes = _probes(sampler, config, method, varied)
    study = _open(out, plan, sampler, prune, config.seed)
    wanted = len(probes) if probes else trials
    ended = _take_up(study)
    tested = out / "test" / "run.json"
    if ended < wanted and tested.is_file():
        raise RunError(
            f"{out} was tested after {ended} trials; more would choose a winner knowing the test. Search in another folder."
        )
    progress(questions.how)
    backends = Backends(config, progress)
    try:
        for probe in probes[ended:]:
            study.enqueue_trial(probe)
        for _ in range(ended, wanted):
            await _one_trial(study, config, method, varied, questions.validation, out, backends, prune, progress)
        done = _trials(study)
        best = max(
            (trial for trial in done if trial.state == "complete" and trial.accuracy is not None),
            key=lambda trial: (trial.accuracy, -trial.number),
            default=None,
        )
        if best is None:
            raise RunError(f"{out}: no trial was played to its end; nothing to test")
        progress(f"best: trial {best.number}, {_words(best.values)}: {100 * (best.accuracy or 0):.1f} % on validation")
        winner = with_values(config, best.values, method)
        rows = await evaluate(
            winner, out=out / "test", methods=[method], samples=questions.test, backends=backends, progress=progress
        )
    finally:
        await backends.close()
    found = Found(done, best, rows[0], questions.how, _importance(study))
    _write(out, found, plan)
    return found


async def _one_trial(
    study: Any,
    config: DebateConfig,
    method: str,
    varied: Sequence[Parameter],
    samples: Sequence[Sample],
    out: Path,
    backends: Backends,
    prune: bool,
    progress: Any,
) -> None:
    import optuna

    trial = study.ask()
    values = {parameter.key: parameter.suggest(trial) for parameter in varied}
    watching = _Watching(trial, samples, prune)
    # By what is tried, not by number: a trial that was interrupted goes on where it was.
    name = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
    try:
        (row,) = await evaluate(
            with_values(config, values, method), out=out / "trials" / name, methods=[method], samples=samples, backends=backends,
            observer=watching,
        )  # fmt: skip
    except _Pruned:
        # Its accuracy is over fewer questions, and is no rival of the complete ones.
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        said = f"pruned after {watching.decided} questions, {100 * watching.accuracy:.1f} %"
    else:
        trial.set_user_attr("questions", row.total)
        study.tell(trial, row.accuracy)
        said = f"{100 * row.accuracy:.1f} %"
    progress(f"trial {trial.number}: {_words(values)}: {said}")


class _Pruned(Exception):
    """A trial fell behind."""


class _Watching(Observer):
    """Tells optuna of each question, and ends a trial that the test says is worse than the best one."""

    def __init__(self, trial: Any, samples: Sequence[Sample], prune: bool) -> None:
        self._trial, self._prune = trial, prune
        self._places = {sample.id: place for place, sample in enumerate(samples)}
        self.decided = self._correct = 0

    @property
    def accuracy(self) -> float:
        """So far."""
        return self._correct / max(self.decided, 1)

    def debate_decided(self, question: Question, decision: Decision, score: Score) -> None:
        """Report a question."""
        right = score.value == "correct"
        self.decided += 1
        self._correct += right
        self._trial.report(float(right), self._places[question.id])
        if not self._prune or self.decided < PRUNE_FROM or self.decided % PRUNE_EVERY:
            return
        if self._trial.should_prune():
            self._trial.set_user_attr("questions", self.decided)
            self._trial.set_user_attr("accuracy", self.accuracy)
            raise _Pruned


def with_values(config: DebateConfig, values: Mapping[str, Any], method: str = "") -> DebateConfig:
    """Return the config with values set at key paths, and where the method's own row sets them otherwise, there too."""
    raw = config.model_dump(by_alias=True)
    row = raw["methods"].get(method) or {}
    for key, value in values.items():
        *parents, last = key.split(".")
        place = raw
        for parent in parents:
            if not isinstance(place.get(parent), dict):
                raise ConfigError(f"--vary {key}: the config has no mapping {parent!r}")
            place = place[parent]
        place[last] = value
        own: Any = row
        for parent in parents:
            own = own.get(parent) if isinstance(own, dict) else None
        if isinstance(own, dict) and last in own:
            # Else what is varied would change nothing.
            own[last] = value
    return validate(raw, source="search")


def _open(out: Path, plan: Mapping[str, Any], sampler: str, prune: bool, seed: int) -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingDependency("a search", "optuna", "evals") from error
    if sampler not in SAMPLERS:
        raise ConfigError(f"unknown sampler {sampler!r}. Known: {', '.join(SAMPLERS)}.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_failed(out, error) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=PRUNE_P, n_startup_steps=PRUNE_FROM)
        study = optuna.create_study(
            storage=f"sqlite:///{out / 'study.db'}",
            study_name="search",
            direction="maximize",
            pruner=pruner if prune else optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
        # A continued search must not propose again what it proposed at its beginning.
        drawn = seed + len(study.trials)
        match sampler:
            case "tpe":
                study.sampler = optuna.samplers.TPESampler(seed=drawn, multivariate=True)
            case "gp":
                study.sampler = optuna.samplers.GPSampler(seed=drawn)
            case _:
                study.sampler = optuna.samplers.RandomSampler(seed=drawn)
    earlier = study.user_attrs.get("plan")
    if earlier is None:
        study.set_user_attr("plan", dict(plan))
    elif differing := [key for key in plan if json.loads(json.dumps(plan[key])) != earlier.get(key)]:
        raise RunError(
            f"{out} holds another search: {', '.join(differing)} differ{'s' if len(differing) == 1 else ''}. "
            "Continue it as it was begun, or choose another folder with --out."
        )
    return study


def _take_up(study: Any) -> int:
    """Queue again what an interrupted session was trying; return how many trials ended."""
    import optuna

    state = optuna.trial.TrialState
    for trial in study.get_trials(states=(state.RUNNING,)):
        study.tell(trial.number, state=state.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    return len(study.get_trials(states=(state.COMPLETE, state.PRUNED)))


def _trials(study: Any) -> tuple[Trial, ...]:
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    found = []
    for trial in study.get_trials(states=states):
        is_complete = trial.state == optuna.trial.TrialState.COMPLETE
        accuracy = trial.value if is_complete else trial.user_attrs.get("accuracy")
        count = int(trial.user_attrs.get("questions", 0))
        found.append(Trial(trial.number, dict(trial.params), accuracy, trial.state.name.lower(), count))
    return tuple(found)


def _probes(
    sampler: str, config: DebateConfig, method: str, varied: Sequence[Parameter]
) -> Sequence[Mapping[str, Any]]:
    """Return what is played in place of a search; nothing where there is one."""
    match sampler:
        case "grid":
            return _grid(varied)
        case "paper":
            return [_paper(config, method, varied)]
        case _:
            return []


def _grid(varied: Sequence[Parameter]) -> list[dict[str, Any]]:
    """Return every combination of choices, the last parameter's fastest."""
    if ranges := [str(parameter) for parameter in varied if not parameter.choices]:
        raise ConfigError(
            f"sampler grid: every value must be listed, and {ranges[0]} is a range; write e.g. {varied[0].key}=0.1|0.5|1.0"
        )
    keys = [parameter.key for parameter in varied]
    return [dict(zip(keys, values, strict=True)) for values in product(*(parameter.choices for parameter in varied))]


def _paper(config: DebateConfig, method: str, varied: Sequence[Parameter]) -> dict[str, float]:
    """Return the paper's best temperatures for a task, the lower for the agent whose answer counts."""
    message = resolve(config, method).message
    known = TEMPERATURES.get((config.task, message))
    keys = [parameter.key for parameter in varied]
    if known is None or len(keys) != 2 or not all(key.endswith(".temperature") for key in keys):
        tasks = ", ".join(sorted({task for task, _ in TEMPERATURES}))
        raise ConfigError(
            f"sampler paper: the paper gives temperatures of two debaters for {tasks}, in text and in CIPHER; this search is of "
            f"{config.task}, {', '.join(keys)}"
        )
    first = f"agents.{config.deciding_agent}.temperature"
    ordered = sorted(keys, key=lambda key: key != first)
    return dict(zip(ordered, known, strict=True))


def _importance(study: Any) -> dict[str, float]:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            found = optuna.importance.get_param_importances(study, evaluator=evaluator)
        except (RuntimeError, ValueError):
            # Fewer than two complete trials, or all of one accuracy: nothing explains nothing.
            return {}
    return {str(name): float(value) for name, value in found.items()}


def _write(out: Path, found: Found, plan: Mapping[str, Any]) -> None:
    row = {**vars(found.test), "accuracy": found.test.accuracy}
    content = {
        **plan,
        "trials": [vars(trial) for trial in found.trials],
        "best": vars(found.best),
        "importance": dict(found.importance),
        "test": {key: row[key] for key in ("method", "correct", "no_answer", "failed", "total", "accuracy")},
    }
    write_json(out / "search.json", content)


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )
