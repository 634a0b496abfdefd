"""Is a sentence of a film review positive or negative? (Stanford Sentiment Treebank, Socher et al., 2013; SST-2 as in GLUE.)

The development sentences are asked, `test` here, since the test labels were never published. Files: dev.tsv and train.tsv (.gz
too), a label 0 or 1 and a text a line under a header. The sample carries the sentence by itself, for agents that tell kinds of
texts.
"""

from collections.abc import Iterable
from dataclasses import replace

from agents.errors import ModelError, TaskError
from agents.models.text_encoder.sst2 import LABELS, read_sst2
from agents.observation import Text
from evals.datasets.dataset_task import WordTask
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo


class SST2(WordTask):
    """One of two words."""

    name = "sst2"
    info = TaskInfo(
        kind="choice",
        splits=("test", "train"),
        source="Socher et al., 2013 (GLUE)",
        licence="none stated",
        scoring="equal words",
        needs_data=True,
    )
    words = {label: (label,) for label in LABELS}

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a sentence."""
        sentence = row.text("sentence")
        text = f"Is this {' or '.join(LABELS)}? {sentence}"
        return replace(self.question(row, text, row.get("label")), observations=(Text(sentence),))

    def _rows(self, split: str) -> tuple[str, Iterable[DataRow]]:
        if self.data is None:
            raise TaskError("sst2 has no hub source: give a folder with dev.tsv and train.tsv (.gz too) with --data")
        try:
            pairs = read_sst2(self.data, split)
        except ModelError as error:
            raise TaskError(str(error)) from error
        rows = (
            DataRow({"label": label, "sentence": sentence}, number, f"{self.data} ({split}): sentence {number}")
            for number, (label, sentence) in enumerate(pairs, start=1)
        )
        return str(self.data), rows
