"""SVAMP (Patel et al., 2021): word problems of one step, varied so that shortcuts fail. Rows: Body, Question, Answer.

The hub's revision is not known here: `main` is resolved to a commit when it is read.
"""

from agents.errors import TaskError
from evals.datasets.dataset_task import NumberTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo


class SVAMP(NumberTask):
    """A story, a question, a number."""

    name = "svamp"
    info = TaskInfo("number", ("test", "train"), "ChilleD/SVAMP", "MIT", "equal numbers")
    files = {"test": ("test.json", "SVAMP.json", "test.jsonl"), "train": ("train.json", "train.jsonl")}
    shot_split = "train"
    hub = HubSource("ChilleD/SVAMP", None, "main", {"test": "test", "train": "train"})

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row."""
        try:
            target = self.read_target(row.text("Answer"))
        except TaskError as error:
            raise row.error(str(error).removeprefix(f"{row.place}: ")) from error
        body = row.text("Body").rstrip()
        question = f"{body}{'' if body[-1:] in '.?!' else '.'} {row.text('Question')}"
        return Sample(self.sample_id(row), question, target)
