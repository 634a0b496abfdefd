"""The paper's Arithmetic: `a+b*c+d-e*f`, a … f uniform integers in [0, 30), asked as "What is the result of …?".

Generated, nothing is downloaded (Pham et al., 2024, section 4). Sample i depends on (seed, i) alone.
"""

import random
from collections.abc import Sequence

from agents.errors import TaskError
from evals.numbers import stated_number
from evals.task import Sample, Task

DEFAULT_SIZE = 200


class Arithmetic(Task):
    """Six operands, one precedence to get right."""

    name = "arithmetic"

    def samples(self, limit: int | None) -> Sequence[Sample]:
        """Return `limit` generated samples; the paper's 200 without a limit."""
        if self.data is not None:
            raise TaskError("arithmetic is generated; it takes no data file. Use --seed for other questions.")
        return [self._sample(index) for index in range(DEFAULT_SIZE if limit is None else limit)]

    def _sample(self, index: int) -> Sample:
        draw = random.Random(f"arithmetic|{self.seed}|{index}")
        a, b, c, d, e, f = (draw.randrange(30) for _ in range(6))
        question = f"What is the result of {a}+{b}*{c}+{d}-{e}*{f}?"
        return Sample(f"arithmetic-{self.seed}-{index:04d}", question, str(a + b * c + d - e * f))

    def extract(self, response: str) -> str | None:
        """Return the stated number."""
        return stated_number(response)
