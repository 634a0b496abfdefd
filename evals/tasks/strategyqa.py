"""StrategyQA (Geva et al., 2021): yes or no, with steps that the question does not name.

Files are BIG-bench's (`examples` of input and target_scores; they carry its canary: evaluation only), rows of the hub have
question and a truth value. The hub's revision is not known here.
"""

from evals.datasets.dataset_task import WordTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.scoring.words import YES_NO
from evals.task import TaskInfo


class StrategyQA(WordTask):
    """Yes or no."""

    name = "strategyqa"
    info = TaskInfo("yes/no", ("test", "train"), "ChilleD/StrategyQA", "MIT", "equal words")
    words = YES_NO
    files = {"test": ("task.json", "test.json"), "train": ("train.json",)}
    shot_split = "train"
    hub = HubSource("ChilleD/StrategyQA", None, "main", {"test": "test", "train": "train"})

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row of either layout."""
        if row.has("target_scores"):
            scores = row.get("target_scores")
            if not isinstance(scores, dict):
                raise row.error("target_scores is an object of answer to score")
            right = [word for word, score in scores.items() if score == 1]
            if len(right) != 1:
                raise row.error(f"target_scores has {len(right)} right answers, not one")
            return self.question(row, row.text("input"), right[0])
        return self.question(row, row.text("question"), row.text("answer"))
