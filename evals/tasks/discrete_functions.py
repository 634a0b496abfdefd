"""The next label of a Boolean function, from examples of it (Bhattamishra et al., ICLR 2024, arXiv:2310.03016).

Generated. Sample i depends on (family, split, seed, i) alone. The question has the examples in words, in the form of the
paper's prompt for language models; the sample carries the same as a table. Fifteen examples of eight variables are too
few to know the function and enough to believe something; who sees only a share of them has a reason to listen. A sample of
`monotone_conjunction` also has the function in words, for a teacher.
"""

import re
from collections.abc import Sequence

from agents.models.discrete_functions.families import FAMILIES, draw, monotone
from agents.models.discrete_functions.teacher import write_clause
from agents.models.seeded import generator_of
from agents.observation import Table, Text
from evals.sample import Loaded, Sample
from evals.scoring.text import said
from evals.task import Task, TaskInfo

DIMS, EXAMPLES = 8, 15
DEFAULT_SIZE = 200
LABELS = ("0", "1")
_AFTER_CUE = re.compile(r"(?:Answer|Label):\s*([01])\b")
_ALONE = re.compile(r"(?<![\w.])([01])(?!\w|\.\d|%)")


class DiscreteFunctions(Task):
    """0 or 1; the family stands after the colon, conjunctions by default."""

    name = "discrete_functions"
    info = TaskInfo(
        kind="generated",
        splits=("test", "validation", "train"),
        source="generated (Bhattamishra et al., 2024)",
        licence="none needed",
        scoring="equal labels",
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the families."""
        return tuple(FAMILIES)

    def load(self, at_least: int | None = None) -> Loaded:
        """Return so many samples, 200 by default."""
        count = DEFAULT_SIZE if at_least is None else at_least
        samples = tuple(self._sample(index) for index in range(count))
        return Loaded(samples, count, source=f"generated, {self.split}, seed {self.seed}")

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return 0 and 1."""
        return LABELS

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the label after the last `Answer:` or `Label:`, else the only one that is said."""
        text = said(response)
        if after := _AFTER_CUE.findall(text):
            return str(after[-1])
        labels = set(_ALONE.findall(text))
        return str(labels.pop()) if len(labels) == 1 else None

    def _sample(self, index: int) -> Sample:
        family = self.variant or "conjunction"
        name = f"{family}|{self.split}|{self.seed}|{index}"
        generator = generator_of(name)
        known: tuple[Text, ...] = ()
        if family == "monotone_conjunction":
            clause, points = monotone(1, EXAMPLES + 1, DIMS, generator)
            known = (Text(write_clause(clause[0])),)
        else:
            points = draw(family, 1, EXAMPLES + 1, DIMS, generator)
        x, labels = points.x[0], [LABELS[int(y > 0)] for y in points.y[0]]
        rows = [" ".join(LABELS[int(value > 0)] for value in row) for row in x]
        lines = [f"Input: {row}\nLabel: {label}" for row, label in zip(rows[:-1], labels[:-1], strict=True)]
        names = tuple(f"x{place + 1}" for place in range(DIMS))
        return Sample(
            id=f"discrete_functions-{family}-{self.split}-{self.seed}-{index:05d}",
            question="\n".join([*lines, f"Input: {rows[-1]}\nWhat is its label?"]),
            target=labels[-1],
            metadata={"family": family, "examples": EXAMPLES},
            observations=(Table(x, names, tuple(labels[:-1])), *known),
        )
