"""TruthfulQA as multiple choice with one right answer, MC1 (Lin et al., 2022).

Rows of the hub (`multiple_choice`) have mc1_targets; the CSV of the questions gives the best answer and the incorrect ones,
which are the same options where the release is the same. Published with the right one first, the options are put in an
order drawn from the question, the same in every run.
"""

import random

from evals.datasets.dataset_task import ChoiceTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo


class TruthfulQA(ChoiceTask):
    """A question that people get wrong, 2 to 13 options."""

    name = "truthfulqa"
    info = TaskInfo("choice", ("validation",), "truthfulqa/truthful_qa", "Apache-2.0", "equal letters (MC1)")
    files = {"validation": ("TruthfulQA.csv",)}
    most_options = 13
    hub = HubSource(
        "truthfulqa/truthful_qa",
        "multiple_choice",
        "741b8276f2d1982aa3d5b832d3ee81ed3b896490",
        {"validation": "validation"},
    )

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row of either layout."""
        if row.has("mc1_targets"):
            targets = row.get("mc1_targets")
            options = [str(choice) for choice in targets["choices"]]
            if list(targets["labels"]).count(1) != 1:
                raise row.error("mc1_targets has one right choice")
            right = options[list(targets["labels"]).index(1)]
            question = row.text("question")
        else:
            question, right = row.text("Question"), row.text("Best Answer")
            wrong = [text.strip() for text in row.text("Incorrect Answers").split(";") if text.strip()]
            options = [right, *(text for text in dict.fromkeys(wrong) if text != right)]
        random.Random(f"truthfulqa|{question}").shuffle(options)
        return self.choice(row, question, options, options.index(right))
