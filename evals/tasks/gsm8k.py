"""GSM8K (Cobbe et al., 2021): grade-school word problems, from the hub or from a file of JSON lines.

A row is {"question": …, "answer": rationale ending in "#### N"}, as published; test 1,319 rows, train 7,473. `--data` on
the folder of CIPHER's splits takes its 200 validation or 200 test questions; its file of 1,315 test rows leaves out the 4
that its prompts show. Strict is `#### N` or `Answer: N` at the end, flexible the stated number (lm-eval's two filters are
narrower and wider: `#### N` alone, and the last number).
"""

import re

from agents.errors import TaskError
from evals.datasets.dataset_task import NumberTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import Shot, TaskInfo


class GSM8K(NumberTask):
    """Word problems with a number for an answer."""

    name = "gsm8k"
    info = TaskInfo(
        kind="number",
        splits=("test", "train", "validation"),
        source="openai/gsm8k",
        licence="MIT",
        scoring="equal numbers",
    )
    files = {
        "test": ("test.jsonl", "gsm/gsm8k_split_test200ques.jsonl", "gsm/test_gsm8k_full.jsonl"),
        "train": ("train.jsonl", "train.jsonl.gz"),
        "validation": ("validation.jsonl", "gsm/gsm8k_split_valid200ques.jsonl"),
    }
    shot_split = "train"
    hub = HubSource(
        "openai/gsm8k", "main", "cc7b047b6e5bb11b4f1af84efc572db110a51b3c", {"test": "test", "train": "train"}
    )

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a {"question", "answer"} row; the rationale is kept for worked examples."""
        if not isinstance(row.values, dict) or not (row.has("question") and row.has("answer")):
            raise row.error("a row is an object with question and answer")
        question, answer = row.text("question"), row.text("answer")
        rationale, mark, _ = answer.rpartition("####")
        try:
            target = self.read_target(answer)
        except TaskError:
            mark = ""
        if not mark:
            raise row.error("the answer does not end in '#### number'")
        rationale = re.sub(r"<<[^<>\n]{0,200}>>", "", rationale).strip()
        return Sample(self.sample_id(row), question, target, metadata={"rationale": rationale})

    def shot(self, sample: Sample) -> Shot:
        """Return the published rationale, then the answer."""
        return Shot(sample.question, f"{sample.metadata['rationale']}\nAnswer: {sample.target}")
