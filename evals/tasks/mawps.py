"""MultiArith, AddSub and SingleEq (the MAWPS family): rows with sQuestion and lSolutions, as published.

Only MultiArith is known to be on the hub; its revision is not known here. The others take --data.
"""

from agents.errors import TaskError
from evals.datasets.dataset_task import NumberTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo

LICENCE = "none stated"


class WordProblems(NumberTask):
    """A story, a number."""

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row; one with several solutions is an error."""
        question = " ".join(row.text("sQuestion", "question").split())
        answer = row.get("lSolutions", "final_ans")
        answers = answer if isinstance(answer, list) else [answer]
        if len(answers) != 1:
            raise row.error(f"lSolutions has {len(answers)} numbers, not one")
        try:
            target = self.read_target(answers[0])
        except TaskError as error:
            raise row.error(str(error)) from error
        return Sample(self.sample_id(row), question, target)


class MultiArith(WordProblems):
    """Two steps."""

    name = "multiarith"
    info = TaskInfo("number", ("test", "train"), "ChilleD/MultiArith", LICENCE, "equal numbers")
    files = {"test": ("MultiArith.json", "test.json"), "train": ("train.json",)}
    shot_split = "train"
    hub = HubSource("ChilleD/MultiArith", None, "main", {"test": "test", "train": "train"})


class AddSub(WordProblems):
    """Additions and subtractions."""

    name = "addsub"
    info = TaskInfo("number", ("test",), "MAWPS (Koncel-Kedziorski et al., 2016)", LICENCE, "equal numbers", True)
    files = {"test": ("AddSub.json",)}


class SingleEq(WordProblems):
    """One equation."""

    name = "singleeq"
    info = TaskInfo("number", ("test",), "MAWPS (Koncel-Kedziorski et al., 2016)", LICENCE, "equal numbers", True)
    files = {"test": ("SingleEq.json",)}
