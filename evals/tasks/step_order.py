"""In which order do the steps of a solution stand? Sums of products, generated, or word problems (GSM8K, Cobbe et al., 2021).

Up to four orders are offered, the solution's own and others drawn by the question alone; the line of the answer is left out,
whose place is always the last. `step_order` is of the sums of `arithmetic:held_out`, `step_order:gsm8k` of GSM8K's solutions,
from the hub or its files. Solutions of one step, of more than twelve, or of steps that are all alike are left out, with a count.
The sample carries the question that is solved.
"""

import random
from collections.abc import Iterable
from dataclasses import replace

from agents.models.mp3.steps import shuffled, steps_of
from agents.observation import Text
from evals.datasets.dataset_task import ChoiceTask, Unusable
from evals.datasets.rows import DataRow
from evals.sample import Loaded, Sample
from evals.task import Task, TaskInfo, create_task

OPTIONS, MOST, DEFAULT_SIZE = 4, 12, 200
VARIANTS = ("gsm8k",)


class StepOrder(ChoiceTask):
    """One of two to four orders."""

    name = "step_order"
    info = TaskInfo(
        kind="choice",
        splits=("test", "validation", "train"),
        source="generated, or openai/gsm8k",
        licence="none needed; MIT",
        scoring="equal letters",
    )
    most_options = OPTIONS
    draws = DEFAULT_SIZE
    """How many sums are drawn."""

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return whose solutions they are, where they are no sums."""
        return VARIANTS

    def load(self, at_least: int | None = None) -> Loaded:
        """Return `at_least` generated samples, 200 by default; of word problems all that the split has."""
        self.draws = DEFAULT_SIZE if at_least is None else at_least
        return super().load(at_least)

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a solved question."""
        asked, steps = row.text("question"), steps_of(row.text("solution"))
        draw = random.Random(f"step_order|{asked}")
        others = shuffled(steps, OPTIONS - 1, draw)
        if not 2 <= len(steps) <= MOST or not others:
            raise Unusable(f"its solution has not 2 to {MOST} steps that differ")
        orders = ["\n".join(order) for order in (steps, *others)]
        right = orders[0]
        draw.shuffle(orders)
        stem = f"In which order do the steps of a solution stand? The question that they solve: {asked}"
        sample = self.choice(row, stem, orders, orders.index(right))
        return replace(sample, observations=(Text(asked),))

    def _rows(self, split: str) -> tuple[str, Iterable[DataRow]]:
        if self.variant is None:
            solved: Task = create_task("arithmetic:held_out", seed=self.seed, split=split)
            loaded = solved.load(self.draws)
        else:
            solved = create_task(self.variant, data=self.data, split=split, revision=self.revision)
            loaded = solved.load()
        rows = (
            DataRow(
                {"question": each.question, "solution": solved.solution(each)},
                number,
                f"{loaded.source}: question {number}",
            )
            for number, each in enumerate(loaded.samples, start=1)
        )
        return loaded.source, rows
