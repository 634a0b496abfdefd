"""Which line is spelled right? A line of Shakespeare and three of its misspellings (tinyshakespeare's last twentieth).

In each misspelling two neighbouring letters have changed places, drawn by the line alone, the same in every run. No model of
glyphs that the recipe trains learns that twentieth. The sample carries the line before, for models that have little room.
"""

import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from agents.errors import ModelError, TaskError
from agents.models.glyphs.text import HELD_OUT, read_text
from agents.observation import Text
from evals.datasets.dataset_task import ChoiceTask
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo

OPTIONS = 4
SHORTEST, LONGEST = 12, 60
"""Of a line, in characters."""


class Spelling(ChoiceTask):
    """One of four lines."""

    name = "spelling"
    info = TaskInfo(
        kind="choice",
        splits=("test", "validation"),
        source="tinyshakespeare (github karpathy/char-rnn)",
        licence="public domain",
        scoring="equal letters",
        needs_data=True,
    )
    most_options = OPTIONS

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a line."""
        before, line = row.text("before"), row.text("line")
        drawn = random.Random(f"spelling|{before}|{line}")
        options = [line, *drawn.sample(misspelled(line), OPTIONS - 1)]
        drawn.shuffle(options)
        sample = self.choice(row, f"Which line is spelled right? It follows: {before}", options, options.index(line))
        return replace(sample, observations=(Text(before),))

    def _rows(self, split: str) -> tuple[str, Iterable[DataRow]]:
        if self.data is None:
            raise TaskError("spelling has no hub source: give a folder with tinyshakespeare's input.txt with --data")
        try:
            text = read_text(self.data)
        except ModelError as error:
            raise TaskError(str(error)) from error
        # The first line may begin in the middle; the first half of the rest is for choosing temperatures and trust.
        lines = text[-int(HELD_OUT * len(text)) :].split("\n")[1:]
        half = lines[: len(lines) // 2] if split == "validation" else lines[len(lines) // 2 :]
        pairs = [(one, two) for one, two in pairwise(half) if _is_speech(one) and _is_speech(two)]
        rows = (
            DataRow({"before": one, "line": two}, number, f"{self.data} ({split}): line {number}")
            for number, (one, two) in enumerate(pairs, start=1)
            if len(misspelled(two)) >= OPTIONS - 1
        )
        return str(self.data), rows


def misspelled(line: str) -> list[str]:
    """Return every line that differs by two neighbouring small letters that have changed places, none twice."""
    found: dict[str, None] = {}
    for place, (a, b) in enumerate(pairwise(line)):
        if a != b and a.isalpha() and b.isalpha() and a.islower() and b.islower():
            found[f"{line[:place]}{b}{a}{line[place + 2 :]}"] = None
    return list(found)


def _is_speech(line: str) -> bool:
    """Return whether a line is speech, and no speaker's name, of a length that models here read."""
    return SHORTEST <= len(line) <= LONGEST and not line.endswith(":")
