"""HellaSwag (Zellers et al., 2019): which of four endings follows. The test split has no answers; validation is scored."""

import re

from evals.datasets.dataset_task import ChoiceTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo

_NOTE = re.compile(r"\[[^\[\]]{0,40}\]")


class HellaSwag(ChoiceTask):
    """A beginning, four endings."""

    name = "hellaswag"
    info = TaskInfo("choice", ("validation", "train"), "Rowan/hellaswag", "MIT", "equal letters")
    files = {"validation": ("hellaswag.jsonl", "hellaswag_val.jsonl"), "train": ("hellaswag_train.jsonl",)}
    shot_split = "train"
    hub = HubSource(
        "Rowan/hellaswag",
        None,
        "218ec52e09a7e7462a5400043bb9a69a41d06b76",
        {"validation": "validation", "train": "train"},
    )

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row; WikiHow's marks such as `[title]` are left out, as lm-eval does."""
        endings, label = row.get("endings"), row.text("label")
        if not isinstance(endings, list) or not label.isdigit():
            raise row.error("endings is a list, and label the place of the right one")
        begin = f"{row.text('activity_label')}: {row.text('ctx')}"
        texts = [" ".join(_NOTE.sub(" ", str(ending)).split()) for ending in endings]
        stem = " ".join(_NOTE.sub(" ", begin.replace(" [title]", ".")).split())
        return self.choice(row, f"{stem}\nWhich ending follows?", texts, int(label))
