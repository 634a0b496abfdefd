"""Which line comes next? Four lines of Shakespeare, of which one follows: tinyshakespeare's last twentieth, that no model learns.

Questions are pairs of lines of one speech; the three others are drawn from the same text by the question alone, the same in every
run. The sample carries the line by itself, for models that read characters and have little room.
"""

import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from agents.errors import ModelError, TaskError
from agents.models.glyphs.text import HELD_OUT, read_text
from agents.observation import Text
from evals.datasets.dataset_task import ChoiceTask
from evals.datasets.rows import Row
from evals.sample import Sample
from evals.task import TaskInfo

OPTIONS = 4
SHORTEST, LONGEST = 12, 60
"""Of a line, in characters."""


class NextLine(ChoiceTask):
    """One of four lines."""

    name = "next_line"
    info = TaskInfo(
        kind="choice",
        splits=("test", "validation"),
        source="tinyshakespeare (github karpathy/char-rnn)",
        licence="public domain",
        scoring="equal letters",
        needs_data=True,
    )
    most_options = OPTIONS

    def parse(self, row: Row) -> Sample:
        """Return the sample of a line."""
        line, follows = row.text("line"), row.text("next")
        drawn = random.Random(f"next_line|{line}|{follows}")
        others = [each for each in row.get("others") if each not in (line, follows)]
        options = [follows, *drawn.sample(others, OPTIONS - 1)]
        drawn.shuffle(options)
        sample = self.choice(row, f"Which line comes next? {line}", options, options.index(follows))
        return replace(sample, observations=(Text(line),))

    def _rows(self, split: str) -> tuple[str, Iterable[Row]]:
        if self.data is None:
            raise TaskError("next_line has no hub source: give a folder with tinyshakespeare's input.txt with --data")
        try:
            text = read_text(self.data)
        except ModelError as error:
            raise TaskError(str(error)) from error
        held = text[-int(HELD_OUT * len(text)) :]
        # The first line may begin in the middle; the first half of the rest is for choosing temperatures and trust.
        lines = held.split("\n")[1:]
        half = lines[: len(lines) // 2] if split == "validation" else lines[len(lines) // 2 :]
        others = sorted({line for line in half if _is_verse(line)})
        pairs = [(one, two) for one, two in pairwise(half) if _is_verse(one) and _is_verse(two)]
        if len(others) < OPTIONS + 1 or not pairs:
            raise TaskError(
                f"{self.data}: too few lines of {SHORTEST} to {LONGEST} characters in the last {HELD_OUT:.0%}"
            )
        rows = (
            Row({"line": one, "next": two, "others": others}, number, f"{self.data} ({split}): line {number}")
            for number, (one, two) in enumerate(pairs, start=1)
        )
        return str(self.data), rows


def _is_verse(line: str) -> bool:
    """Return whether a line is speech, and no speaker's name, of a length that models here read."""
    return SHORTEST <= len(line) <= LONGEST and not line.endswith(":")
