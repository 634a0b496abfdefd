"""The optuna study of a search: opened or gone on with, its trials, what explains them."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.errors import MissingDependency, RunError, UnknownName, writing_failed

SAMPLERS = ("tpe", "gp", "random", "grid", "paper")
# Pruning looks after so many more questions; earlier than this many nothing is pruned.
PRUNE_EVERY = 10
PRUNE_FROM = 30
# Of the Wilcoxon test: below this a trial is given up.
PRUNE_P = 0.1


@dataclass(frozen=True)
class Trial:
    """One tried setting; `accuracy` is over the questions that it got to."""

    number: int
    values: Mapping[str, Any]
    accuracy: float | None
    state: str
    questions: int


def open_study(out: Path, plan: Mapping[str, Any], sampler: str, prune: bool, seed: int) -> Any:
    """Return the study of a folder, begun or gone on with.

    Args:
        out: folder of study.db.
        plan: plan of the search, the same whenever it is continued.
        sampler: one of `SAMPLERS`; `grid` and `paper` say themselves what is tried.
        prune: whether trials that fall behind are given up.
        seed: random seed of proposed values.

    Raises:
        ConfigError: an unknown sampler.
        MissingDependency: the extra `evals` is not installed.
        RunError: the folder holds another search, or the disk does not take it.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingDependency("a search", "optuna", "evals") from error
    if sampler not in SAMPLERS:
        raise UnknownName("sampler", sampler, SAMPLERS)
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


def take_up(study: Any) -> int:
    """Queue again what an interrupted session was trying; return how many trials ended."""
    import optuna

    state = optuna.trial.TrialState
    for trial in study.get_trials(states=(state.RUNNING,)):
        study.tell(trial.number, state=state.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    return len(study.get_trials(states=(state.COMPLETE, state.PRUNED)))


def trials_of(study: Any) -> tuple[Trial, ...]:
    """Return the trials that were played to their end or given up, in order."""
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    found = []
    for trial in study.get_trials(states=states):
        is_complete = trial.state == optuna.trial.TrialState.COMPLETE
        accuracy = trial.value if is_complete else trial.user_attrs.get("accuracy")
        count = int(trial.user_attrs.get("questions", 0))
        found.append(Trial(trial.number, dict(trial.params), accuracy, trial.state.name.lower(), count))
    return tuple(found)


def importance(study: Any) -> dict[str, float]:
    """Return parameter → share of the variance that it explains; nothing where that cannot be told."""
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
