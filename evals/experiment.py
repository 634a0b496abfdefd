"""The paper's experiments as data: a YAML each in configs/reproduce, and the debate config of one of its tasks."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from agents.errors import ConfigError, MissingDependency, UnknownName
from agents.yaml_file import read_yaml
from debate.config.frozen import Frozen
from debate.config.load import validate
from debate.config.schema import DebateConfig
from debate.config.shipped import configs_folder, prompts_folder
from evals import paper
from evals.methods import BUILT_IN_METHODS, SELF_CONSISTENCY, row_name
from evals.task import check_task_name

TINY = "tiny/"
# The row whose temperatures a search varies.
SEARCHED = "cipher"
# Of the shipped tiny debaters, which know no other form than the one that they were trained in.
TINY_FORM: dict[str, Any] = {"prompts": "tiny", "format": "plain", "max_tokens": 80, "stop": (), "dtype": "float32"}


class Experiment(Frozen):
    """One of the paper's tables or figures."""

    title: str
    """In words."""
    figures: Literal["table1", "table2", "rounds", "debaters", "temperature", "partial", "none"] = "none"
    """Which of the paper's figures stand beside ours."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """As the paper's."""
    debate: dict[str, Any]
    """The config that all methods share; task, model and backend are set by the command."""
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Row → what it changes."""
    of_task: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Task → what it changes of the config: prompts, lengths."""
    paper_temperatures: bool = False
    """Whether all temperatures are the paper's: its debaters' best, and those of `single` and the samples in its commands."""
    models: tuple[str, ...] = ()
    """Of the agents in order, the last for the rest, where the command names none; by default the debate's own."""
    effects: str | None = None
    """Row whose messages' effects on their hearers are measured (docs/controls.md)."""
    seeds: tuple[int, ...] = ()
    """Of the questions: a run for each, where the command names none; by default one of the debate's own."""
    against: str | None = None
    """Row that the others are compared with over the questions of all seeds; by default every pair is compared in each run."""
    trials: int = Field(default=0, ge=0)
    """Of a temperature search; 0 for an evaluation."""
    notes: tuple[str, ...] = ()
    """What differs from the paper, in sentences."""

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows that are played, as the experiment writes them; a search has one."""
        return (SEARCHED,) if self.trials else tuple(self.methods) or tuple(BUILT_IN_METHODS)

    def row_in(self, config: DebateConfig, row: str) -> str:
        """Return what one of the rows is called in a run, where samples have the temperature of their task in their names."""
        played = list(config.methods)
        return row_name(played[self.rows.index(row)]) if played and not self.trials else row_name(row)


def experiments() -> list[str]:
    """Return the names of the shipped experiments."""
    return sorted(path.stem for path in (configs_folder() / "reproduce").glob("*.yaml"))


def load_experiment(name: str) -> Experiment:
    """Return an experiment by name, or from a file.

    Raises:
        UnknownName: no such experiment, or it names a row, a task, a variant or prompts that do not exist.
        ConfigError: a key that it does not take.
    """
    path = Path(name) if name.endswith(".yaml") else configs_folder() / "reproduce" / f"{name}.yaml"
    if not path.is_file():
        known = experiments()
        raise UnknownName("experiment", name, known)
    try:
        experiment = Experiment.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error
    _check_names(experiment, str(path))
    return experiment


def _check_names(experiment: Experiment, where: str) -> None:
    """Look up what a run needs late: rows after all is played, tasks and prompts when their turn comes.

    Raises:
        UnknownName: one of them does not exist.
        TaskError: a task has no variants, and one is named.
    """
    for key in ("against", "effects"):
        if (row := getattr(experiment, key)) is not None and row not in experiment.rows:
            raise UnknownName("row", row, experiment.rows, where=f"{where}: {key}")
    for task in experiment.of_task:
        if task not in experiment.tasks:
            raise UnknownName("task", task, experiment.tasks, where=f"{where}: of_task")
    for task in experiment.tasks:
        # A package that one of them needs may be missing where only others are run.
        with contextlib.suppress(MissingDependency):
            check_task_name(task)
    for keys in (experiment.debate, *experiment.of_task.values()):
        prompts = keys.get("prompts")
        if isinstance(prompts, str) and not prompts_folder(prompts).is_dir():
            known = [path.name for path in (configs_folder() / "prompts").iterdir() if path.is_dir()]
            raise UnknownName("prompts", prompts, known, where=where)


def experiment_config(experiment: Experiment, task: str, overrides: Mapping[str, Any]) -> DebateConfig:
    """Return the debate of an experiment on one of its tasks, with its rows.

    Args:
        experiment: experiment with the paper's settings.
        task: one of its own.
        overrides: keys that stand for the paper's: model, agents, backend, lengths. They win over everything else.

    Raises:
        ConfigError: a key that cannot be, or fewer agents than the paper's temperatures are for.
    """
    raw = {**experiment.debate, **experiment.of_task.get(task, {}), "task": task}
    if experiment.models and "model" not in overrides:
        first, *others = experiment.models
        agents = {name: dict(agent or {}) for name, agent in raw["agents"].items()}
        for name, model in zip(list(agents)[1:], others, strict=False):
            agents[name]["model"] = model
        overrides = {"model": first, "agents": agents, **overrides}
    if str(overrides.get("model", "")).startswith(TINY):
        raw |= TINY_FORM
    raw |= overrides
    methods = {row: dict(changes) for row, changes in experiment.methods.items()}
    if len(methods) > 1:
        # Accuracies are compared, not times: a few questions of all rows fill an engine's batch.
        raw["execution"] = {"rows_at_once": True, **raw.get("execution", {})}
    if experiment.paper_temperatures:
        model = paper.temperatures_of(raw.get("model", ""))
        names = list(raw["agents"])[:2]

        def held(message: str) -> dict[str, dict[str, float]]:
            found = paper.temperatures(task, message, model)
            return {name: {"temperature": t} for name, t in zip(names, found, strict=False)}

        debating = held("cipher")
        raw["agents"] = {name: {**(agent or {}), **debating.get(name, {})} for name, agent in raw["agents"].items()}
        alone, sampled = paper.baselines(task, model)
        if "text" in methods:
            methods["text"] = {**methods["text"], "agents": held("text")}
        if "single" in methods:
            methods["single"] = {**methods["single"], "agents": {name: {"temperature": alone} for name in names[:1]}}
        methods = {_sampled(row, sampled): changes for row, changes in methods.items()}
    return validate({**raw, "methods": methods}, source="reproduce")


def _sampled(row: str, temperature: float) -> str:
    """Return a row's name, of samples with their temperature in it."""
    if not row.startswith(f"{SELF_CONSISTENCY}(k="):
        return row
    return f"{row.removesuffix(')')}, temperature={temperature:g})"
