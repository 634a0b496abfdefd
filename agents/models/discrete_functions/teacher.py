"""An agent that knows a conjunction and teaches it in examples (Bhattamishra et al., 2024, arXiv:2310.03016, teaching sequences).

It sees the function in words, `x2 and x5 of 8`, and says examples of it in the form of the paper's prompt, not the answer: those
that identify it, or as many random ones. An agent with the option `hears` learns from them. A config names it by its card,
`backend: agents.models.discrete_functions.teacher:CARD`, with `words: grounds`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.beliefs.cards import Card
from agents.errors import ConfigError, RequestError
from agents.models.discrete_functions.backend import LABELS, write_examples
from agents.models.discrete_functions.families import TAUGHT_FORCED, Points, lesson, satisfies, signs
from agents.models.seeded import number_of
from agents.observation import Observation, Table, Text
from agents.question import Question

CARD = Card(
    name="function_teacher",
    paper="Bhattamishra et al., 2024, arXiv:2310.03016",
    modality="text",
    message="examples of a conjunction that it knows",
    checkpoint="none: it is told the function",
    licence="Apache-2.0 (this project's)",
    backend="agents.models.discrete_functions.teacher:Teacher",
)
FORM = re.compile(r"(x\d{1,2}(?: and x\d{1,2}){0,63}) of (\d{1,2})")


def write_clause(clause: Tensor) -> str:
    """Return a clause [n] of 0 and 1 in words."""
    return f"{' and '.join(f'x{place + 1}' for place in clause.nonzero()[:, 0].tolist())} of {len(clause)}"


def read_clause(text: str) -> Tensor:
    """Return the clause [n] of 0 and 1 that words say.

    Raises:
        RequestError: they say none.
    """
    found = FORM.fullmatch(text)
    places = [int(name[1:]) for name in found[1].split(" and ")] if found else []
    if found is None or not all(1 <= place <= int(found[2]) for place in places):
        raise RequestError(f"a teacher is told a function as in 'x2 and x5 of 8'; got {text[:60]!r}")
    clause = torch.zeros(int(found[2]))
    clause[[place - 1 for place in places]] = 1.0
    return clause


class Teacher(BeliefBackend):
    """Certain of the label; its grounds are examples.

    Args:
        sends: `lesson`, a teaching sequence, or `random`, as many random examples, four in ten of them made to satisfy the
            clause; the same function has the same ones.
    """

    modality = "text"

    def __init__(self, sends: Literal["lesson", "random"] = "lesson") -> None:
        if sends not in ("lesson", "random"):
            raise ConfigError(f"sends is lesson or random; got {sends!r}")
        self.sends = sends

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return a teacher; it has no checkpoint."""
        if checkpoint is not None:
            raise ConfigError(f"a teacher is told the function, and has no checkpoint {checkpoint!r}")
        return cls(**options)

    def save_pretrained(self, folder: Path) -> None:
        """It has nothing to save."""
        raise RequestError("a teacher is told the function, and has nothing to save")

    @property
    def name(self) -> str:
        """What it sends."""
        return f"teacher ({self.sends})"

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return 0 and 1."""
        return LABELS

    def check(self, observation: Observation) -> None:
        """Refuse words that are no clause."""
        assert isinstance(observation, Text)
        read_clause(observation.text)

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [
            self._one(case, read_clause(observation.text))
            for case, observation in zip(cases, observations, strict=True)
        ]

    def _one(self, case: Question, clause: Tensor) -> Belief:
        table = case.observation("table")
        if not isinstance(table, Table) or table.values.shape[1:] != clause.shape:
            raise RequestError(
                f"{self.name} is asked about a table of {len(clause)} values; this case has no such table"
            )
        said = lesson(clause)
        if self.sends == "random":
            said = random_points(clause, said.x.shape[1], seed_of(case))
        label = LABELS[int(satisfies(table.values[-1], clause))]
        return Belief(LABELS, tuple(float(each == label) for each in LABELS), grounds=write_examples(said))


def random_points(clause: Tensor, count: int, seed: int) -> Points:
    """Return random points [1, K, n] of a clause [n] with their labels."""
    generator = torch.Generator().manual_seed(seed)
    x = signs((count, len(clause)), generator)
    forced = torch.rand(count, 1, generator=generator) < TAUGHT_FORCED
    x = torch.where(forced & (clause > 0), clause, x)[None]
    return Points(x, satisfies(x, clause).float() * 2 - 1)


def seed_of(case: Question) -> int:
    """Return a seed that follows from a case's question."""
    return number_of(case.text)
