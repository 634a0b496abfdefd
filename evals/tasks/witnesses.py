"""What is the hidden string? Each witness sees a noisy copy of its own; together they know more than each alone.

Generated, with an optimum that is known (`evals/tasks/optima.py`). Sample i depends on (world, split, seed, i) alone. The world
stands after the colon, or is a file (`--data`). The question has a line for each witness, and the prompts of
`configs/prompts/roles/witness_1` and so on show a witness its own. No line of one split is of another.
"""

import random
import re
from collections.abc import Sequence
from functools import cached_property

from evals.sample import Loaded, Sample, Score
from evals.task import Task, TaskInfo
from evals.tasks.evidence import World, asked, draw_case, load_world, worlds

DEFAULT, DEFAULT_SIZE = "four_mid", 200


class Witnesses(Task):
    """A string of symbols; the world stands after the colon."""

    name = "witnesses"
    info = TaskInfo(
        kind="generated",
        splits=("test", "validation", "train"),
        source="generated",
        licence="none needed",
        scoring="equal strings; credit is the share of places",
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the shipped worlds."""
        return tuple(worlds())

    @cached_property
    def world(self) -> World:
        """How strings are hidden and seen."""
        return load_world(self.variant or DEFAULT) if self.data is None else load_world(self.data)

    def load(self, at_least: int | None = None) -> Loaded:
        """Return so many samples, 200 by default."""
        count = DEFAULT_SIZE if at_least is None else at_least
        samples = tuple(self._sample(index) for index in range(count))
        return Loaded(samples, count, source=f"generated, {self.split}, seed {self.seed}")

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the last string of as many symbols that stands by itself."""
        found = re.findall(rf"(?<![a-z0-9])[{self.world.letters}]{{{self.world.length}}}(?![a-z0-9])", response)
        return found[-1] if found else None

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the response where it is such a string and no more, after `Answer:` or bare."""
        bare = response.strip().removeprefix("Answer:").strip()
        return bare if self.extract(bare) == bare else None

    def score(self, answer: str | None, target: str) -> Score:
        """Return whether all places are right, and the share that is."""
        plain = super().score(answer, target)
        if answer is None:
            return plain
        right = sum(a == b for a, b in zip(answer, target, strict=True)) / len(target)
        return Score(plain.value, answer, target, credit=right)

    def _sample(self, index: int) -> Sample:
        world = self.variant or (DEFAULT if self.data is None else self.data.stem)
        rng = random.Random(f"witnesses|{world}|{self.split}|{self.seed}|{index}")
        case = draw_case(self.world, rng, self.split)
        return Sample(
            f"witnesses-{world}-{self.split}-{self.seed}-{index:05d}", asked(self.world, case.lines), case.string
        )
