"""AQuA-RAT (Ling et al., 2017): algebra with five options, `A)…`. The hub's revision is not known here."""

import re

from evals.datasets.dataset_task import ChoiceTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo

_MARK = re.compile(r"^\s*\(?[A-E]\s*\)\s*")
# The last line of most rationales: "Answer : A", "The correct option is (C)."; the answer is said once, as the prompts ask.
_CLOSING = re.compile(
    r"(?i)\n\W*(?:the\s+)?(?:correct\s+)?(?:answer|ans|option|choice)\s*(?:is|[:=-])*\s*(?:option\s*)?\W*[A-E]\W*$"
)


class AquaRat(ChoiceTask):
    """A word problem, five options."""

    name = "aqua_rat"
    info = TaskInfo("choice", ("test", "validation", "train"), "deepmind/aqua_rat", "Apache-2.0", "equal letters")
    files = {"test": ("test.jsonl", "test.json"), "validation": ("dev.jsonl", "dev.json"), "train": ("train.jsonl",)}
    shot_split = "train"
    most_options = 5
    hub = HubSource("deepmind/aqua_rat", "raw", "main", {"test": "test", "validation": "validation", "train": "train"})

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row."""
        options = row.get("options")
        if not isinstance(options, list):
            raise row.error("options is a list")
        return self.choice(
            row,
            row.text("question"),
            [_MARK.sub("", str(o), count=1) for o in options],
            row.text("correct"),
            **({"rationale": _CLOSING.sub("", row.text("rationale"))} if row.has("rationale") else {}),
        )
