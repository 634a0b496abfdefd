"""Agents that see examples of a function of real numbers and believe something about its next value, or about its family.

`learner` is a network that learned to learn in context; `bayes` is the belief that none can beat where the function is of its
family; `plug_in` is least squares with its own residual variance. `ols`, `ridge`, `gradient_descent`, `neighbours`,
`stochastic_gradient_descent` and `linear_attention` say a value, and take for its variance the mean squared error that they make
at each example from the others.
With `share: [i, n]` an agent sees every n-th example, from the i-th on; `share: [0, 2, 3]` shows it two of three.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import ConfigError, ModelError, RequestError, UnknownName
from agents.models.checkpoint import CONFIG, explained, save_model
from agents.models.in_context import estimators
from agents.models.in_context.bins import LETTERS, over_letters
from agents.models.in_context.families import MIXTURES, Kind, kinds_of
from agents.models.in_context.linear_attention import trained_rule
from agents.models.in_context.looped import LoopedLearner
from agents.models.in_context.model import Learner
from agents.models.in_context.posterior import Predictive, bayes, families, gaussian
from agents.models.in_context.training import load_learner
from agents.models.stored import read_stored, typed
from agents.observation import Observation, Table
from agents.question import Question
from agents.registry import check_parameters, parse_named

SHIPPED = Path(__file__).resolve().parent / "checkpoints"
DEFAULT = "noisy"
OPTIONS = "options.json"
POINT_RULES: dict[str, Callable[..., estimators.Rule]] = {
    "ols": estimators.ols,
    "ridge": estimators.ridge,
    "gradient_descent": estimators.gradient_descent,
    "stochastic_gradient_descent": estimators.stochastic_gradient_descent,
    "neighbours": estimators.neighbours,
    "linear_attention": trained_rule,
}
RULES = ("learner", "bayes", "plug_in", *POINT_RULES)
MOST_DIMS = 16
LARGEST = 1e3
"""Largest number that a table may hold: what is drawn lies within 10."""


class InContext(BeliefBackend):
    """A belief over twelve intervals, or over families.

    Args:
        rule: how it believes: one of `RULES`, those that say a value with parameters, e.g. `ridge(penalty=0.1)`.
        learner: the network, of the rule `learner`.
        family: what the rule `bayes` takes the function to be of.
        noise: standard deviation of the noise that the rule `bayes` knows; the family's own by default.
        share: (i, …, n): it sees the examples whose number leaves one of i, … when divided by n; all by default.
        about: `value`, or `family`, which of several families the function is of.
        loops: of a network that loops: how many it makes, more or fewer than in training; as many as in training by default.
    """

    modality = "table"

    def __init__(
        self,
        rule: str = "learner",
        *,
        learner: Learner | None = None,
        family: str = DEFAULT,
        noise: float | None = None,
        share: Sequence[int] = (0, 1),
        about: Literal["value", "family"] = "value",
        loops: int | None = None,
    ) -> None:
        named = parse_named(rule, "rule")
        if named.name not in RULES:
            raise UnknownName("rule", named.name, RULES)
        if (named.name == "learner") != (learner is not None):
            raise ConfigError(f"the rule {rule!r} {'needs' if learner is None else 'has no use for'} a network")
        if len(share) < 2 or not all(0 <= place < share[-1] for place in share[:-1]):
            raise ConfigError(f"share is [i, …, n] with 0 <= i < n; got {list(share)}")
        if about not in ("value", "family"):
            raise ConfigError(f"about is value or family; got {about!r}")
        self.loops, self._sizes = loops, learner.config.sizes if learner is not None else {}
        if loops is not None:
            if not isinstance(learner, LoopedLearner):
                raise ConfigError(
                    f"loops is for a network that loops, e.g. the checkpoint representation; got loops={loops} and "
                    f"{'a network that does not' if learner is not None else f'the rule {named.name}'}"
                )
            learner = learner.at(loops)
        self._point = self._point_rule(rule)
        self.rule, self.learner, self.family, self.noise = rule, learner, family, noise
        self.share, self.about = tuple(share), about
        # So that a family or noise that is not there is told now.
        kinds_of(family, 2, noise=noise)
        if about == "family" and len(self._families) < 2:
            raise ConfigError(
                f"a belief about families is of the rule bayes with family: {' or '.join(MIXTURES)}, or of a learner of several; "
                f"{named.name} has {', '.join(self._families) or 'none'}"
            )

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder, or of the shipped checkpoint; rules without a network need neither."""
        if checkpoint is None and options.get("rule", "learner") != "learner":
            return cls(**options)
        folder = SHIPPED / (checkpoint or DEFAULT)
        if checkpoint is not None and not (folder / CONFIG).is_file():
            folder = Path(os.path.expanduser(checkpoint))
        stored: dict[str, Any] = {}
        if (folder / OPTIONS).is_file():
            with explained(f"{folder / OPTIONS} cannot be read"):
                stored = typed(cls, read_stored(folder / OPTIONS))
        options = {**stored, **options}
        if options.get("rule", "learner") != "learner":
            return cls(**options)
        try:
            learner = load_learner(folder)
        except ModelError as error:
            known = ", ".join(sorted(path.name for path in SHIPPED.glob("*")))
            raise ModelError(f"{error}. Shipped: {known}, or give a folder.") from error
        return cls(**options, learner=learner)

    def save_pretrained(self, folder: Path) -> None:
        """Write options.json, and config.json and model.safetensors of a learner."""
        folder.mkdir(parents=True, exist_ok=True)
        stored: dict[str, Any] = {"rule": self.rule, "family": self.family, "noise": self.noise}
        if self.loops is not None:
            stored["loops"] = self.loops
        (folder / OPTIONS).write_text(
            json.dumps({**stored, "share": list(self.share), "about": self.about}, indent=1) + "\n"
        )
        if self.learner is not None:
            # The loops of training, not those of use.
            save_model(folder, self.learner, self._sizes)

    @property
    def name(self) -> str:
        """The backend's name and its rule, and the loops where they were chosen."""
        return f"in_context ({self.rule}{'' if self.loops is None else f', {self.loops} loops'})"

    @property
    def _families(self) -> tuple[str, ...]:
        if self.learner is not None:
            return self.learner.config.families
        kinds = kinds_of(self.family, 2, noise=self.noise) if self.rule == "bayes" else []
        return tuple(dict.fromkeys(kind.family for kind in kinds))

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the letters of the intervals, or the families."""
        return LETTERS if self.about == "value" else self._families

    def check(self, observation: Observation) -> None:
        """Refuse labels that are no numbers, and numbers that are none of these functions'."""
        assert isinstance(observation, Table)
        if observation.values.shape[1] > MOST_DIMS:
            raise RequestError(
                f"{self.name} takes points of at most {MOST_DIMS} values; the table has {observation.values.shape[1]}"
            )
        for label in observation.labels:
            _number(label, self.name)
        if float(observation.values.abs().max()) > LARGEST:
            raise RequestError(f"{self.name} takes numbers of at most {LARGEST:g}; standardise the table")

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [self._one(case, observation) for case, observation in zip(cases, observations, strict=True)]

    def _one(self, case: Question, table: Table) -> Belief:
        seen = [place for place in range(len(table.labels)) if place % self.share[-1] in self.share[:-1]]
        x, asked = table.values[:-1][seen].double()[None], table.values[-1:].double()
        y = torch.tensor([[_number(table.labels[place], self.name) for place in seen]]).double()
        if not seen:
            return Belief.abstain(self.labels(case), "its share holds no example")
        grounds = f"{len(seen)} examples"
        if self.about == "family":
            return Belief.of(self._families, self._shares(x, y, asked), grounds=grounds)
        found = self._value(x, y, asked)
        if isinstance(found, str):
            return Belief.abstain(LETTERS, found)
        return over_letters(found, grounds=grounds)[0]

    def _value(self, x: Tensor, y: Tensor, asked: Tensor) -> Predictive | str:
        """Return the belief about the value, or why there is none."""
        if self.learner is not None:
            said = self._ask(self.learner, x, y, asked)
            return gaussian(said[0], said[1])
        if self.rule == "bayes":
            return bayes(self._kinds(x.shape[-1]), x, y, asked)
        try:
            if self._point is None:
                mean, variance = estimators.plug_in(x, y, asked[:, None])
                return gaussian(mean[:, 0], variance[:, 0])
            return gaussian(self._point(x, y, asked[:, None])[:, 0], estimators.left_out(self._point, x, y))
        except RequestError as error:
            return str(error)

    def _shares(self, x: Tensor, y: Tensor, asked: Tensor) -> list[float]:
        """Return the probability of each family."""
        if self.learner is not None:
            return [float(p) for p in self._ask(self.learner, x, y, asked)[2]]
        kinds = self._kinds(x.shape[-1])
        return [float(p[0]) for p in families(kinds, bayes(kinds, x, y, asked)).values()]

    def _kinds(self, dims: int) -> list[Kind]:
        return kinds_of(self.family, dims, noise=self.noise)

    @torch.inference_mode()
    def _ask(self, learner: Learner, x: Tensor, y: Tensor, asked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean [1], variance [1] and the families' probabilities [G]; one function at a time, whatever else is asked."""
        whole = torch.cat([x, asked[:, None]], 1).float(), torch.cat([y, torch.zeros(1, 1)], 1).float()
        said = learner(*whole)
        shares = torch.softmax(said.families[0, -1].double(), -1)
        return said.mean[:, -1].double(), said.log_variance[:, -1].double().exp(), shares

    @staticmethod
    def _point_rule(rule: str) -> estimators.Rule | None:
        named = parse_named(rule, "rule")
        if named.name not in POINT_RULES:
            if named.parameters:
                raise ConfigError(f"the rule {named.name!r} has no parameters in brackets; got {rule!r}")
            return None
        check_parameters(named, "rule", POINT_RULES[named.name])
        return POINT_RULES[named.name](**named.parameters)


def _number(label: str, name: str) -> float:
    try:
        found = float(label)
    except ValueError:
        found = float("nan")
    if not abs(found) <= LARGEST:
        raise RequestError(f"{name} takes labels that are numbers of at most {LARGEST:g}; the table has {label!r}")
    return found
