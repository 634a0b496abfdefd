"""The next value of a function of real numbers, from examples of it, whose best possible belief can be computed.

Generated. Sample i depends on (family, split, seed, i) alone. The question has the examples in words, to two decimals; the sample
carries them as a table, to seven digits. Ten examples of four values, or twelve of eight, are too few to know the function and
enough to believe something; who sees only half of them has a reason to listen. The answer is the letter of an interval, or a
number in it; or the function's family.
"""

import re
from collections.abc import Sequence

from agents.models.in_context.bins import BORDERS, LETTERS, letter
from agents.models.in_context.families import FAMILIES, MIXTURES, draw, kinds_of
from agents.models.seeded import generator_of
from agents.observation import Table
from evals.sample import Loaded, Sample
from evals.scoring.text import said
from evals.scoring.words import stated_word
from evals.task import Task, TaskInfo

DIMS, EXAMPLES = 4, 10
SIZES = dict.fromkeys(("pair", "linear_or_pair", "which_support"), (8, 12))
"""Dimensions and examples, where they are others: two weights of four would be half of them."""
DEFAULT_SIZE = 200
DEFAULT = "noisy"
WHICH = {"which_family": "mixture", "which_support": "linear_or_pair"}
"""Questions which of two families a function is of, and the mixture of both."""
INTERVALS = (
    ", ".join(
        [
            f"{LETTERS[0]} below {BORDERS[0]:g}",
            *(f"{name} from {low:g}" for name, low in zip(LETTERS[1:], BORDERS, strict=True)),
        ]
    )
    + ". Answer with its letter or with y."
)
ASK_FAMILY = {
    "which_family": "Does y depend on all four numbers of x (linear) or on one alone (sparse)? Answer with linear or sparse.",
    "which_support": "Does y depend on all eight numbers of x (linear) or on two alone (pair)? Answer with linear or pair.",
}
_LETTER = f"([{LETTERS[0]}-{LETTERS[-1]}])"
_NUMBER = r"([-+−]?\d{1,6}(?:\.\d{1,9})?)"
_AFTER_CUE = re.compile(rf"\b(?:Answer|y)\s?[:=]\s{{0,3}}(?:{_LETTER}(?![\w'])|{_NUMBER}(?![\w%]))")
_WHOLE = re.compile(rf"\s*(?:{_LETTER}|{_NUMBER})\.?\s*")


class InContext(Task):
    """One of twelve intervals; the family stands after the colon, linear functions with unknown noise by default."""

    name = "in_context"
    info = TaskInfo(
        kind="generated",
        splits=("test", "validation", "train"),
        source="generated (Garg et al., 2022; Liu et al., 2024)",
        licence="none needed",
        scoring="equal intervals",
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the families, and the questions which of two it is."""
        return (*FAMILIES, *WHICH)

    def load(self, at_least: int | None = None) -> Loaded:
        """Return so many samples, 200 by default."""
        count = DEFAULT_SIZE if at_least is None else at_least
        samples = tuple(self._sample(index) for index in range(count))
        return Loaded(samples, count, source=f"generated, {self.split}, seed {self.seed}")

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the letters of the intervals, or the families."""
        return MIXTURES[WHICH[self.variant]] if self.variant in WHICH else LETTERS

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the interval after the last `Answer:` or `y =`, by letter or by a number in it; else that of a bare answer.

        To the question which family it is, the family's name.
        """
        if self.variant in WHICH:
            return stated_word(response, {name: (name,) for name in MIXTURES[WHICH[self.variant]]})
        text = said(response)
        found = [match.groups() for match in _AFTER_CUE.finditer(text)]
        if whole := _WHOLE.fullmatch(text):
            found.append(whole.groups())
        if not found:
            return None
        name, number = found[-1]
        return str(name or letter(float(number.replace("−", "-"))))

    def _sample(self, index: int) -> Sample:
        family = self.variant or DEFAULT
        name = f"in_context|{family}|{self.split}|{self.seed}|{index}"
        dims, examples = SIZES.get(family, (DIMS, EXAMPLES))
        kinds = kinds_of(WHICH.get(family, family), dims)
        points = draw(kinds, 1, examples + 1, generator_of(name))
        x, y = points.x[0], points.y[0].tolist()
        rows = [", ".join(f"{value:.2f}" for value in row) for row in x.tolist()]
        lines = [f"x = {row}; y = {value:.2f}" for row, value in zip(rows[:-1], y[:-1], strict=True)]
        if family in WHICH:
            asked, target = ASK_FAMILY[family], kinds[int(points.kind[0])].family
        else:
            asked, target = f"x = {rows[-1]}; in which interval is y? {INTERVALS}", letter(y[-1])
        names = tuple(f"x{place + 1}" for place in range(dims))
        return Sample(
            id=f"in_context-{family}-{self.split}-{self.seed}-{index:05d}",
            question="\n".join([*lines, asked]),
            target=target,
            metadata={"family": family, "examples": examples, "y": y[-1]},
            observations=(Table(x.float(), names, tuple(f"{value:.7g}" for value in y[:-1])),),
        )
