"""Arithmetic, generated: the paper's form, and the six-number form of Du et al.

The paper's: `a+b*c+d-e*f`, a … f uniform integers in [0, 30), asked as "What is the result of …?" (Pham et al., 2024,
section 4). Du et al.'s (2023, github composable-models/llm_multiagent_debate, math/gen_math.py) is the same expression
with their question's words around it. Sample i depends on (split, seed, i) alone. A file of {"question", "answer"} lines,
such as CIPHER's own 200 questions, is read with --data.

Variants, for models that were trained on such expressions (docs/debaters.md): `held_out` asks only expressions of its split,
which training never draws, and `larger` has operands in [30, 60), of which training has none. `related` asks held-out expressions
whose products are two of eight, which the seed draws: each comes up in a quarter of the questions, so that who remembers earlier
ones has most of what a later one needs.
"""

import random
import re
from functools import cached_property

from agents.errors import TaskError
from evals.datasets.dataset_task import NumberTask
from evals.datasets.rows import DataRow
from evals.sample import Loaded, Sample
from evals.task import TaskInfo
from evals.tasks.sums import Term, paper_form, split_of, value, worked, written

DEFAULT_SIZE = 200
VARIANTS = ("held_out", "larger", "related")
# Products of the related questions of a seed.
PRODUCTS = 8
# Of every operand: in [0, 30), as the paper's.
OPERANDS = 30
EXPRESSION = re.compile(r"(\d+)\+(\d+)\*(\d+)\+(\d+)-(\d+)\*(\d+)")


class Arithmetic(NumberTask):
    """Six operands, one precedence to get right."""

    name = "arithmetic"
    info = TaskInfo(
        kind="number",
        splits=("test", "validation", "train"),
        source="generated (Pham et al., 2024)",
        licence="none needed",
        scoring="equal numbers",
    )
    files = {
        "test": ("arithmetic/arithmetic_test200ques.jsonl", "arithmetic_test200ques.jsonl"),
        "validation": ("arithmetic/arithmetic_valid200ques.jsonl", "arithmetic_valid200ques.jsonl"),
    }
    form = "What is the result of {}?"
    draws = "arithmetic"

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the expressions apart from the paper's draw that it knows."""
        return VARIANTS

    def load(self, at_least: int | None = None) -> Loaded:
        """Return `at_least` generated samples, the paper's 200 by default; or those of the file that --data names."""
        if self.data is not None:
            return super().load(at_least)
        count = DEFAULT_SIZE if at_least is None else at_least
        samples = tuple(self._sample(index) for index in range(count))
        return Loaded(samples, count, source=f"generated, {self.split}, seed {self.seed}")

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a {"question", "answer"} row."""
        try:
            target = self.read_target(row.text("answer"))
        except TaskError as error:
            raise row.error(str(error).removeprefix(f"{row.place}: ")) from error
        return Sample(self.sample_id(row), row.text("question"), target)

    def solution(self, sample: Sample) -> str:
        """Return the expression worked out, where the question asks the paper's form; of a variant as those trained on it do."""
        found = EXPRESSION.search(sample.question)
        by_place = self.variant is not None
        solved = None if found is None else worked(paper_form(*map(int, found.groups())), by_place=by_place)
        return str(solved) if solved is not None and str(solved.answer) == sample.target else super().solution(sample)

    def _sample(self, index: int) -> Sample:
        split = "" if self.split == "test" else f"{self.split}|"
        variant = f"{self.variant}|" if self.variant else ""
        draw = random.Random(f"{self.draws}|{variant}{split}{self.seed}|{index}")
        terms = self._terms(draw)
        question = self.form.format(written(terms))
        name = self.name if self.split == "test" else f"{self.name}-{self.split}"
        return Sample(f"{name}-{self.seed}-{index:04d}", question, str(value(terms)))

    def _terms(self, draw: random.Random) -> tuple[Term, ...]:
        least = OPERANDS if self.variant == "larger" else 0
        while True:
            a, b, c, d, e, f = (least + draw.randrange(OPERANDS) for _ in range(6))
            if self.variant == "related":
                (b, c), (e, f) = draw.sample(self._products, 2)
            terms = paper_form(a, b, c, d, e, f)
            if self.variant not in ("held_out", "related") or split_of(written(terms)) == self.split:
                return terms

    @cached_property
    def _products(self) -> list[tuple[int, int]]:
        """The factors of the related questions' products: of two digits each, so that none is known by heart."""
        draw = random.Random(f"{self.draws}|related|{self.split}|{self.seed}")
        return draw.sample([(b, c) for b in range(10, OPERANDS) for c in range(10, OPERANDS)], PRODUCTS)


class Arithmetic6(Arithmetic):
    """The question of Du et al., who ask to state the answer at the end of the response."""

    name = "arithmetic6"
    info = TaskInfo(
        kind="number",
        splits=("test", "validation", "train"),
        source="generated (Du et al., 2023)",
        licence="none needed",
        scoring="equal numbers",
    )
    form = "What is the result of {}? Make sure to state your answer at the end of the response."
    draws = "arithmetic6"
