"""Which sentence answers the question? TREC's questions with sentences of news (Wang et al., 2007; github brmson/dataset-sts).

Several may be right; any of them counts. Questions without a right or without a wrong sentence are left out, as all who
report on this set do. Of more than 26 sentences one right one and 25 others are drawn, and all are put in an order, by the
question alone, the same in every run. The sample carries the question without the sentences, for agents that compare texts.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from agents.errors import ModelError, TaskError
from agents.models.sentences.corpora import read_answers
from agents.observation import Text
from evals.dataset_task import ChoiceTask, Unusable
from evals.rows import Row
from evals.scoring.options import LETTERS
from evals.task import Sample, Score, TaskInfo

_FILES = {"test": "test", "validation": "dev"}


class TrecQA(ChoiceTask):
    """A question and 2 to 26 sentences."""

    name = "trecqa"
    info = TaskInfo(
        kind="choice",
        splits=("test", "validation"),
        source="Wang et al., 2007",
        licence="none stated",
        scoring="a right letter",
        needs_data=True,
    )
    most_options = len(LETTERS)

    def parse(self, row: Row) -> Sample:
        """Return the sample of a question."""
        question, right, wrong = row.text("question"), list(row.get("right")), list(row.get("wrong"))
        if not right or not wrong:
            raise Unusable("no right sentence, or no wrong one")
        drawn = random.Random(f"trecqa|{question}")
        drawn.shuffle(right)
        others = [*right[1:], *wrong]
        if len(others) >= self.most_options:
            others = drawn.sample(others, self.most_options - 1)
        options = [right[0], *others]
        drawn.shuffle(options)
        letters = [letter for letter, option in zip(LETTERS, options, strict=False) if option in right]
        sample = self.choice(row, question, options, options.index(right[0]), right=letters)
        return replace(sample, observations=(Text(question),))

    def score_sample(self, answer: str | None, sample: Sample) -> Score:
        """Return the score; every right sentence is correct."""
        if answer is not None and answer in sample.metadata.get("right", ()):
            return Score("correct", answer, sample.target)
        return self.score(answer, sample.target)

    def _rows(self, split: str) -> tuple[str, Iterable[Row]]:
        if self.data is None:
            raise TaskError("trecqa has no hub source: give a folder with dev.csv and test.csv (.gz too) with --data")
        try:
            sets = read_answers(self.data, _FILES[split])
        except ModelError as error:
            raise TaskError(str(error)) from error
        return str(self.data), _numbered([vars(each) for each in sets], f"{self.data} ({split})")


def _numbered(found: Sequence[dict[str, object]], source: str) -> Iterable[Row]:
    return (Row(values, number, f"{source}: question {number}") for number, values in enumerate(found, start=1))
