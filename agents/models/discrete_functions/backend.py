"""Agents that see examples of a Boolean function and believe something about the next label.

`learner` is a network that learned to learn in context; `bayes` is the belief that none can beat where the function is a
conjunction; `elimination` keeps the longest clause that fits and is certain of it; `neighbours` looks at the nearest
examples. With `share: [i, n]` an agent sees only every n-th example, from the i-th on, so that several see different ones. With
`hears` it also learns from examples that others say, as a teacher does (`teacher.py`).
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import ConfigError, RequestError, UnknownName
from agents.models.checkpoint import built, explained
from agents.models.discrete_functions.config import LearnerConfig
from agents.models.discrete_functions.families import Points
from agents.models.discrete_functions.model import Learner
from agents.models.discrete_functions.optimal import Evidence, bayes, elimination, neighbours
from agents.models.stored import made_of, read_stored, typed
from agents.observation import Observation, Table
from agents.question import Question

SHIPPED = Path(__file__).resolve().parent / "checkpoints"
DEFAULT = "conjunction"
LABELS = ("0", "1")
CONFIG, WEIGHTS = "config.json", "model.safetensors"
RULES = ("learner", "bayes", "elimination", "neighbours")


EXAMPLE = re.compile(r"Input: ([01](?: [01]){0,63})\nLabel: ([01])(?!\w)")


@dataclass(frozen=True, eq=False)
class Shared(Table):
    """A table whose rows are an agent's share already, behind those that it was told."""

    @property
    def modality(self) -> str:
        """A table's."""
        return "table"


def write_examples(points: Points) -> str:
    """Return the points of one function, [1, K, n], as the lines of the paper's prompt."""
    rows = zip(points.x[0].tolist(), points.y[0].tolist(), strict=True)
    return "\n".join(f"Input: {' '.join(_bit(v) for v in x)}\nLabel: {_bit(y)}" for x, y in rows)


def read_examples(text: str) -> list[tuple[list[float], str]]:
    """Return the examples in a text, values of -1 and +1 and the label; a last input without a label is none."""
    return [([1.0 if bit == "1" else -1.0 for bit in x.split(" ")], label) for x, label in EXAMPLE.findall(text)]


def _bit(value: float) -> str:
    return LABELS[int(value > 0)]


class DiscreteFunctions(BeliefBackend):
    """A belief over 0 and 1, i.e. over the labels -1 and +1 of the paper.

    Args:
        rule: how it believes, one of `RULES`.
        learner: the network, of the rule `learner`.
        share: (i, n): it sees examples i, i + n, i + 2n, … from 0; all by default.
        neighbours: how many nearest examples the rule `neighbours` looks at.
        hears: whether it learns from examples in what others say: they stand before its own, of which a learner drops the last
            ones where all are more than it takes.
        monotone: whether the rule `bayes` takes it that no variable is negated.
    """

    modality = "table"

    def __init__(
        self,
        rule: str = "learner",
        *,
        learner: Learner | None = None,
        share: Sequence[int] = (0, 1),
        neighbours: int = 1,
        hears: bool = False,
        monotone: bool = False,
    ) -> None:
        if rule not in RULES:
            raise UnknownName("rule", rule, RULES)
        if (rule == "learner") != (learner is not None):
            raise ConfigError(f"the rule {rule!r} {'needs' if learner is None else 'has no use for'} a network")
        if len(share) != 2 or not 0 <= share[0] < share[1]:
            raise ConfigError(f"share is [i, n] with 0 <= i < n; got {list(share)}")
        if not isinstance(neighbours, int) or neighbours < 1:
            raise ConfigError(f"neighbours are a whole number of at least 1; got {neighbours}")
        self.rule, self.learner, self.share, self.neighbours = rule, learner, (share[0], share[1]), neighbours
        self.hears, self.monotone = hears, monotone

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder, or of the shipped checkpoint; rules without a network need neither."""
        folder = SHIPPED / (checkpoint or DEFAULT)
        if checkpoint is not None and not (folder / CONFIG).is_file():
            folder = Path(os.path.expanduser(checkpoint))
        if options.get("rule", "learner") != "learner" and (checkpoint is None or not (folder / CONFIG).is_file()):
            return cls(**options)
        known = ", ".join(sorted(path.name for path in SHIPPED.glob("*")))
        missing = f"no checkpoint {checkpoint!r}. Shipped: {known}, or give a folder"
        with explained(missing):
            stored = read_stored(folder / CONFIG)
            sizes = stored.pop("learner")
            options = {**typed(cls, stored), **options}
        if sizes is None or options.get("rule", "learner") != "learner":
            return cls(**options)
        with explained(missing):
            learner = built(lambda given: Learner(made_of(LearnerConfig, given)), sizes, folder / WEIGHTS)
        return cls(**options, learner=learner.eval())

    def save_pretrained(self, folder: Path) -> None:
        """Write config.json, and model.safetensors of a learner."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        sizes = None if self.learner is None else self.learner.config.sizes
        stored = {"rule": self.rule, "share": list(self.share), "neighbours": self.neighbours, "learner": sizes}
        stored |= {key: True for key in ("hears", "monotone") if getattr(self, key)}
        if self.learner is not None:
            save_file(self.learner.state_dict(), folder / WEIGHTS)
        # Last: a folder with a config is whole.
        (folder / CONFIG).write_text(json.dumps(stored, indent=1) + "\n")

    @property
    def name(self) -> str:
        """The backend's name and its rule."""
        return f"discrete_functions ({self.rule})"

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return 0 and 1."""
        return LABELS

    def hearing(self, case: Question, said: Sequence[str]) -> Question:
        """Return a case whose table begins with the examples that others gave, where it hears them.

        Raises:
            RequestError: examples of another number of values.
        """
        table = case.observation(self.modality)
        if not self.hears or not isinstance(table, Table) or table.is_empty:
            return case
        heard = [example for text in said for example in read_examples(text)]
        if not heard:
            return case
        dims = table.values.shape[1]
        if wrong := [x for x, _ in heard if len(x) != dims]:
            raise RequestError(f"{self.name} was told an example of {len(wrong[0])} values; the table has {dims}")
        start, step = self.share
        own, labels = table.values[:-1][start::step], table.labels[start::step]
        room = len(own) if self.learner is None else max(self.learner.config.points - 1 - len(heard), 0)
        told = torch.tensor([x for x, _ in heard])
        values = torch.cat([told, own[:room], table.values[-1:]])
        whole = Shared(values, table.names, (*(label for _, label in heard), *labels[:room]))
        others = tuple(each for each in case.observations if each is not table)
        return replace(case, observations=(*others, whole))

    def check(self, observation: Observation) -> None:
        """Refuse what is no Boolean function's examples, or more than the learner takes."""
        assert isinstance(observation, Table)
        if not bool((observation.values.abs() == 1).all()):
            raise RequestError(f"{self.name} takes points of -1 and +1; the table has other numbers")
        if unknown := sorted(set(observation.labels) - set(LABELS)):
            raise RequestError(f"{self.name} knows the labels 0 and 1; the table has {unknown[0]!r}")

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [self._one(observation) for observation in observations]

    def _one(self, table: Table) -> Belief:
        start, step = (0, 1) if isinstance(table, Shared) else self.share
        x, asked = table.values[:-1][start::step], table.values[-1]
        y = torch.tensor([1.0 if label == LABELS[1] else -1.0 for label in table.labels])[start::step]
        if not len(y):
            return Belief.abstain(LABELS, "its share holds no example")
        try:
            p = self._rules[self.rule](Evidence(x, y), asked)
        except RequestError as error:
            if self.rule != "bayes" or "fits" not in str(error):
                raise
            return Belief.abstain(LABELS, str(error))
        return Belief(LABELS, (1 - p, p), grounds=f"{len(y)} examples")

    @property
    def _rules(self) -> dict[str, Callable[[Evidence, Tensor], float]]:
        return {
            "learner": self._learned,
            "bayes": lambda evidence, asked: bayes(evidence, asked, monotone=self.monotone),
            "elimination": lambda evidence, asked: float(elimination(evidence, asked)),
            "neighbours": lambda evidence, asked: neighbours(evidence, asked, self.neighbours),
        }

    @torch.inference_mode()
    def _learned(self, evidence: Evidence, asked: Tensor) -> float:
        # One function at a time, so that a belief does not depend on what else is asked with it.
        assert self.learner is not None
        x = torch.cat([evidence.x, asked[None]])[None]
        y = torch.cat([evidence.y, torch.zeros(1)])[None]
        return float(torch.sigmoid(self.learner(x, y)[0, -1].double()))
