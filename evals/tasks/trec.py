"""What kind of thing does a question ask for? TREC's questions in six kinds (Li and Roth, 2002; nltk_data's qc.zip).

The question names the kinds and then asks; the sample carries TREC's question by itself, for agents that tell kinds of texts.
"""

from collections.abc import Iterable
from dataclasses import replace

from agents.errors import ModelError, TaskError
from agents.models.transformer_programs.trec import KINDS, read_trec
from agents.observation import Text
from evals.datasets.dataset_task import WordTask
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo

_KINDS = tuple(KINDS.values())


class Trec(WordTask):
    """One of six words."""

    name = "trec"
    info = TaskInfo(
        kind="choice",
        splits=("test", "train"),
        source="Li and Roth, 2002",
        licence="none stated",
        scoring="equal words",
        needs_data=True,
    )
    words = {kind: (kind,) for kind in _KINDS}

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a question."""
        asked = row.text("question")
        text = f"Does this ask for {', '.join(_KINDS[:-1])} or {_KINDS[-1]}? {asked}"
        return replace(self.question(row, text, row.get("kind")), observations=(Text(asked),))

    def _rows(self, split: str) -> tuple[str, Iterable[DataRow]]:
        if self.data is None:
            raise TaskError("trec has no hub source: give nltk_data's qc.zip, or a folder with it, with --data")
        try:
            pairs = read_trec(self.data, split)
        except ModelError as error:
            raise TaskError(str(error)) from error
        rows = (
            DataRow({"kind": kind, "question": question}, number, f"{self.data} ({split}): question {number}")
            for number, (kind, question) in enumerate(pairs, start=1)
        )
        return str(self.data), rows
