"""Temperatures, or any value of a config, searched on validation questions; the winner is tested once, on others.

The search is part of the paper's method (section 4: 0.01 to 2.0, on 200 validation questions, tested on 200 others).
optuna proposes and remembers, in OUT/study.db, so that an interrupted search goes on. Trials are evaluations in
OUT/trials; those that fall behind are pruned by a Wilcoxon test over questions. The test split is never searched on.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from agents.atomic_file import write_json
from agents.errors import ConfigError, RunError
from agents.question import Question
from debate.config.schema import DebateConfig
from debate.decision.decision import Decision
from debate.run_folder.results import MethodResult
from debate.runtime.backends import Backends
from debate.runtime.observer import Observer
from evals.evaluation import Selection, evaluate, with_scoring
from evals.methods import resolve
from evals.paper import TEMPERATURES
from evals.sample import Sample, Score
from evals.search.parameters import Parameter, temperatures_of, with_values
from evals.search.questions import divide
from evals.search.study import PRUNE_EVERY, PRUNE_FROM, Trial, importance, open_study, take_up, trials_of


@dataclass(frozen=True)
class SearchResult:
    """What a search came to.

    Attributes:
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
) -> SearchResult:
    """Return the best setting and its one result on the test questions.

    Args:
        config: config whose values are varied.
        out: the folder; an interrupted search there goes on.
        parameters: searched values (default: the agents' temperatures, 0.01 to 2).
        method: the row; the config's message by default.
        trials: total number of trials, including earlier sessions; `grid` plays all combinations, `paper` the paper's only.
        sampler: tpe, gp, random, grid, or paper.
        prune: whether trials that fall behind are given up.
        selection: choice of questions; `limit` holds for each of the two sets.
        split: to search on; the task's validation split by default.
        progress: called with a sentence for each trial.

    Raises:
        ConfigError: a search on the test split, or of what cannot vary.
        RunError: the folder holds another search, or one that was tested already and is to go on.
    """
    method = method or config.message
    chosen = selection or Selection()
    varied = tuple(parameters) or temperatures_of(config)
    config = with_scoring(config, chosen.task(config))
    questions = divide(config, chosen, split=split)
    plan = {
        "config": config.model_dump(mode="json", by_alias=True, exclude={"execution"}),
        "method": method,
        "parameters": [str(parameter) for parameter in varied],
        "sampler": sampler,
        "questions": questions.how,
    }
    probes = _probes(sampler, config, method, varied)
    # A mistake in what varies or in the method is found before anything is written.
    resolve(with_values(config, {parameter.key: parameter.first for parameter in varied}, method), method)
    study = open_study(out, plan, sampler, prune, config.seed)
    wanted = len(probes) if probes else trials
    ended = take_up(study)
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
        done = trials_of(study)
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
    found = SearchResult(done, best, rows[0], questions.how, importance(study))
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
    observed = _TrialObserver(trial, samples, prune)
    # By what is tried, not by number: a trial that was interrupted goes on where it was.
    name = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
    try:
        (row,) = await evaluate(
            with_values(config, values, method), out=out / "trials" / name, methods=[method], samples=samples, backends=backends,
            observer=observed,
        )  # fmt: skip
    except _Pruned:
        # Its accuracy is over fewer questions, and is no rival of the complete ones.
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        said = f"pruned after {observed.decided} questions, {100 * observed.accuracy:.1f} %"
    else:
        trial.set_user_attr("questions", row.total)
        study.tell(trial, row.accuracy)
        said = f"{100 * row.accuracy:.1f} %"
    progress(f"trial {trial.number}: {_words(values)}: {said}")


class _Pruned(Exception):
    """A trial fell behind."""


class _TrialObserver(Observer):
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


def _write(out: Path, found: SearchResult, plan: Mapping[str, Any]) -> None:
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
