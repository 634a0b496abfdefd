"""BoolQ (Clark et al., 2019): true or false. The hub's rows have the passage, which is asked with the question; files of
LLM-Adapters' layout have none, and are the closed-book task: `metadata["passage"]` says which it was.

The published test split has no answers; its validation split is what is scored, also under the name `test` in such files.
"""

from evals.datasets.dataset_task import WordTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.scoring.words import TRUE_FALSE
from evals.task import TaskInfo


class BoolQ(WordTask):
    """True or false."""

    name = "boolq"
    info = TaskInfo("yes/no", ("validation", "train"), "google/boolq", "CC BY-SA 3.0", "equal words")
    words = TRUE_FALSE
    files = {"validation": ("test.json.gz", "test.json", "validation.jsonl"), "train": ("train.json.gz", "train.json")}
    shot_split = "train"
    hub = HubSource(
        "google/boolq",
        None,
        "35b264d03638db9f4ce671b711558bf7ff0f80d5",
        {"validation": "validation", "train": "train"},
    )

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row of either layout."""
        if row.has("instruction"):
            text = row.text("instruction").rpartition("\n\nAnswer format")[0] or row.text("instruction")
            question = text.partition("question: ")[2] or text
            return self.question(row, f"True or false: {question}", row.text("answer"), passage=False)
        question = f"{row.text('passage')}\n\nTrue or false: {row.text('question').rstrip('?')}?"
        return self.question(row, question, row.text("answer"), passage=True)
