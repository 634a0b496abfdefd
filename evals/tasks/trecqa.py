"""Which sentence answers the question? TREC's questions with sentences of news (Wang et al., 2007; github brmson/dataset-sts).

Questions without a right or without a wrong sentence are left out, as all who report on this set do. Of a question's right
sentences one is drawn, of its wrong ones 25 where there are more, and they are put in an order, by the question alone, the same
in every run: unlike the set's usual measures, one option is right. The sample carries the question without the sentences, for
agents that compare texts.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from agents.errors import ModelError, TaskError
from agents.models.sentences.corpora import read_answers
from agents.observation import Text
from evals.datasets.dataset_task import ChoiceTask, Unusable
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.scoring.options import LETTERS
from evals.task import TaskInfo

_FILES = {"test": "test", "validation": "dev"}


class TrecQA(ChoiceTask):
    """A question and 2 to 26 sentences."""

    name = "trecqa"
    info = TaskInfo(
        kind="choice",
        splits=("test", "validation"),
        source="Wang et al., 2007",
        licence="none stated",
        scoring="equal letters",
        needs_data=True,
    )
    most_options = len(LETTERS)

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a question."""
        question, right, wrong = row.text("question"), list(row.get("right")), list(row.get("wrong"))
        if not right or not wrong:
            raise Unusable("no right sentence, or no wrong one")
        drawn = random.Random(f"trecqa|{question}")
        chosen = drawn.choice(right)
        options = [chosen, *drawn.sample(wrong, min(len(wrong), self.most_options - 1))]
        drawn.shuffle(options)
        sample = self.choice(row, question, options, options.index(chosen))
        return replace(sample, observations=(Text(question),))

    def _rows(self, split: str) -> tuple[str, Iterable[DataRow]]:
        if self.data is None:
            raise TaskError("trecqa has no hub source: give a folder with dev.csv and test.csv (.gz too) with --data")
        try:
            sets = read_answers(self.data, _FILES[split])
        except ModelError as error:
            raise TaskError(str(error)) from error
        return str(self.data), _numbered([vars(each) for each in sets], f"{self.data} ({split})")


def _numbered(found: Sequence[dict[str, object]], source: str) -> Iterable[DataRow]:
    return (DataRow(values, number, f"{source}: question {number}") for number, values in enumerate(found, start=1))
