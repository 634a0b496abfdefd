"""LogiQA 1.0 (Liu et al., 2020): a context, a question, four options; its text files of 8 lines a record.

A record is an empty line, the letter, the context, the question, and `A.…` to `D.…`. The hub's copies need code to be run,
which we do not do: --data takes the files.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from agents.errors import TaskError
from evals.datasets.dataset_task import ChoiceTask, Unusable
from evals.datasets.rows import DataRow, read_text
from evals.sample import Sample
from evals.task import TaskInfo

LINES = 8


class LogiQA(ChoiceTask):
    """Logical reading."""

    name = "logiqa"
    info = TaskInfo(
        "choice", ("test", "validation", "train"), "lgw863/LogiQA-dataset", "none stated", "equal letters", True
    )
    files = {"test": ("Test.txt",), "validation": ("Eval.txt",), "train": ("Train.txt",)}
    shot_split = "train"

    def file_rows(self, path: Path) -> Iterable[DataRow]:
        """Return the records of a text file."""
        return _records(path) if path.suffix == ".txt" else super().file_rows(path)

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a record."""
        options = row.get("options")
        if not all(options):
            raise Unusable("its options are not A to D")
        stem = f"{row.text('context')}\n{row.text('question')}"
        return self.choice(row, stem, options, row.text("answer").upper())


def _records(path: Path) -> Iterator[DataRow]:
    lines = read_text(path).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    for number, start in enumerate(range(0, len(lines), LINES), start=1):
        record = [line.strip() for line in lines[start : start + LINES]]
        place = f"{path}:{start + 1}"
        if len(record) != LINES or record[0]:
            raise TaskError(f"{place}: a record is an empty line, a letter, context, question and four options")
        # A record or two has its options in another order; what is no option is left empty, and found by `parse`.
        texts = {line[:1]: line[2:] for line in record[4:]}
        options = [texts.get(letter, "") for letter in "ABCD"]
        values = {"answer": record[1], "context": record[2], "question": record[3], "options": options}
        yield DataRow(values, number, place, path.name)
