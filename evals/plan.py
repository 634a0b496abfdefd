"""Pre-registration: what a run is to show, written down and hashed before its first turn, and what came of it.

A plan names its hypotheses, each over two rows, the rows, the number of questions and the test. `debate eval --plan` writes it
into the run folder as plan.json, with its SHA-256, before anything is played, and the journal's first record has the hash. A plan
cannot be changed, nor given to a run that has begun without it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from agents.atomic_file import write_json
from agents.errors import ConfigError, RunError
from agents.yaml_file import read_yaml
from debate.config.frozen import Frozen
from debate.run_folder.facts import read_facts

PLAN = "plan.json"


class Hypothesis(Frozen):
    """A claim about the accuracies of two rows."""

    claim: str = Field(min_length=1)
    """In words."""
    first: str
    """A row."""
    second: str
    """The row that it is compared with; differences are first − second."""
    expect: Literal["greater", "less", "different", "equal"]
    """What the difference of the accuracies is to be; `equal` means within the plan's margin."""


class Plan(Frozen):
    """What is to be played, and what it is to show."""

    title: str = ""
    """In words."""
    hypotheses: tuple[Hypothesis, ...] = Field(min_length=1)
    """The claims that are tested, and corrected together."""
    methods: tuple[str, ...] = ()
    """Rows, in order; those of the hypotheses by default."""
    questions: int = Field(ge=1)
    """Number of questions."""
    test: Literal["mcnemar"] = "mcnemar"
    """Exact McNemar test over paired questions, p values corrected by Holm over the plan's hypotheses."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Level of the tests, and of the intervals."""
    margin: float = Field(default=0.03, gt=0, lt=1)
    """Difference of accuracies below which two rows count as equal: the interval at level 1 − 2 alpha has to lie within it."""

    @model_validator(mode="after")
    def _has_rows(self) -> "Plan":
        for hypothesis in self.hypotheses:
            for name in (hypothesis.first, hypothesis.second):
                if self.methods and name not in self.methods:
                    raise ValueError(
                        f"hypothesis {hypothesis.claim!r} is about {name!r}, which is none of the plan's methods"
                    )
        return self

    @property
    def rows(self) -> tuple[str, ...]:
        """The methods that are played."""
        named = (name for hypothesis in self.hypotheses for name in (hypothesis.first, hypothesis.second))
        return self.methods or tuple(dict.fromkeys(named))

    @property
    def sha256(self) -> str:
        """Hash of what the plan says, whatever its layout."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def load_plan(path: Path) -> Plan:
    """Return the plan in a YAML file.

    Raises:
        ConfigError: there is none, or it has a key that cannot be.
    """
    if not path.is_file():
        raise ConfigError(f"no plan {path}; it is a YAML file with hypotheses and questions (docs/evaluation.md)")
    return _plan(read_yaml(path), str(path))


def _plan(given: Any, source: str) -> Plan:
    try:
        return Plan.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{source}: {where + ': ' if where else ''}{first['msg']}") from error


def planned_selection(plan: Plan, methods: Sequence[str], limit: int | None) -> tuple[tuple[str, ...], int]:
    """Return rows and number of questions of a run by a plan.

    Raises:
        ConfigError: the command asks for others.
    """
    if limit is not None and limit != plan.questions:
        raise ConfigError(
            f"--limit {limit}: the plan asks {plan.questions} questions; leave --limit out, or make another plan"
        )
    if missing := [name for name in plan.rows if methods and name not in methods]:
        raise ConfigError(
            f"--methods: the plan plays {missing[0]} too; leave --methods out, or name all of the plan's rows"
        )
    return tuple(methods) or plan.rows, plan.questions


def write_plan(folder: Path, plan: Plan, *, is_begun: bool) -> None:
    """Write a plan into the folder of a run; a run that has begun must have the same.

    Raises:
        RunError: the run has another plan, or began without one.
    """
    kept = read_facts(folder / PLAN)
    if is_begun and kept.get("sha256") != plan.sha256:
        before = f"by another plan ({str(kept['sha256'])[:12]})" if "sha256" in kept else "without a plan"
        raise RunError(
            f"{folder} was begun {before}, and a plan is made before its run. Choose another folder with --out."
        )
    if not is_begun:
        written = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(folder / PLAN, {"sha256": plan.sha256, "written": written, "plan": plan.model_dump(mode="json")})


def read_plan(folder: Path) -> tuple[Plan, Mapping[str, Any]] | None:
    """Return a run's plan with its hash and time; None of a run without one.

    Raises:
        RunError: it is not what its hash is of.
    """
    kept = read_facts(folder / PLAN)
    if not kept:
        return None
    try:
        plan = _plan(kept["plan"], str(folder / PLAN))
    except (ConfigError, KeyError) as error:
        raise RunError(f"{folder / PLAN}: no plan that a run writes ({error})") from error
    if plan.sha256 != kept.get("sha256"):
        said = str(kept.get("sha256"))[:12]
        raise RunError(
            f"{folder / PLAN}: changed since it was written: its hash is {plan.sha256[:12]}, and it says {said}"
        )
    return plan, kept
