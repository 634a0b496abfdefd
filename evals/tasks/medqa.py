"""MedQA, USMLE with four options (Jin et al., 2021).

Rows of the hub have options as an object of letter to text and answer_idx; the 300-row file of LatentMAS lists `A. …` in
`options`, repeats them in the question, and gives the answer as text.
"""

import re

from evals.datasets.dataset_task import ChoiceTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo

_MARK = re.compile(r"^[A-D]\.\s*")


class MedQA(ChoiceTask):
    """A case, four options."""

    name = "medqa"
    info = TaskInfo("choice", ("test", "train"), "GBaker/MedQA-USMLE-4-options", "MIT", "equal letters")
    files = {"test": ("medqa.json", "test.jsonl"), "train": ("train.jsonl",)}
    shot_split = "train"
    hub = HubSource(
        "GBaker/MedQA-USMLE-4-options",
        None,
        "0fb93dd23a7339b6dcd27e241cb9b5eca62d4d18",
        {"test": "test", "train": "train"},
    )

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row of either layout."""
        options, stem = row.get("options"), row.text("question")
        if isinstance(options, dict):
            letters = sorted(options)
            return self.choice(row, stem, [options[letter] for letter in letters], row.text("answer_idx"))
        if not isinstance(options, list):
            raise row.error("options is a list, or an object of letter to text")
        stem = stem.partition(f"\n{options[0]}")[0] if options else stem
        return self.choice(row, stem, [_MARK.sub("", str(option)) for option in options], row.text("answer"))
