"""Questions of one's own: `--task file --data questions.jsonl`, or the id of a dataset on the hub, without any Python.

`file:SCORING` says how answers are read and compared: number, choice, mathematics, text, contains or regex. `file` alone takes
`choice` where the rows have options and `number` where every answer is one; anything else has to be said.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from agents.errors import TaskError, UnknownName
from evals.datasets.columns import Columns
from evals.datasets.dataset_task import LONGEST_ID, ChoiceTask, DatasetTask, MathematicsTask, NumberTask
from evals.datasets.hub import HubSource
from evals.datasets.observed import LARGEST, observations, shown_files
from evals.datasets.rows import READABLE, DataRow
from evals.sample import Loaded, Sample, Score
from evals.scoring.mathematics import spelled
from evals.scoring.numbers import normalised
from evals.scoring.options import LETTERS, option_label
from evals.scoring.patterns import found_in
from evals.scoring.text import last_line, said
from evals.scoring.words import comparable, final_text, mentions, stated_text
from evals.task import Shot, TaskInfo

SCORINGS = ("number", "choice", "mathematics", "text", "contains", "regex")
# A dataset on the hub, and its configuration after a colon: `owner/name`, `owner/name:config`.
_HUB_ID = re.compile(r"(?P<repository>[\w.\-]+/[\w.\-]+)(?::(?P<config>[\w.\-]+))?")


class OwnQuestions(DatasetTask):
    """Questions of a file, a folder with a file for each split, or a dataset on the hub; answers compared as texts.

    Args:
        columns: our name of a column → the file's (evals/datasets/columns.py).
        given: as of every task; the variant says how answers are read and compared.

    Raises:
        TaskError: no file, or none that tells how its answers are to be compared.
    """

    name = "file"
    info = TaskInfo(
        "text", ("test", "validation", "train", "dev"), "your file, or a dataset on the hub", "yours", "--scoring",
        needs_data=True,
    )  # fmt: skip
    files: ClassVar[Mapping[str, Sequence[str]]] = {
        split: tuple(f"{split}{kind}" for kind in (*READABLE, *(f"{kind}.gz" for kind in READABLE)))
        for split in info.splits
    }
    takes_columns = True
    # How the answers of a class are compared.
    scoring: ClassVar[str] = "text"

    def __new__(cls, **given: Any) -> "OwnQuestions":
        """Return the task of the scoring that the variant names, or that the rows tell."""
        if cls is not OwnQuestions:
            return super().__new__(cls)
        wanted = given.get("variant")
        if wanted is None:
            if given.get("data") is None:
                raise TaskError(
                    "task file: say which questions with --data FILE, and how answers are compared with --scoring"
                )
            reader = OwnText(**{**given, "variant": OwnText.scoring, "num_fewshot": None})
            wanted = reader.told_scoring()
        if wanted not in KINDS:
            raise UnknownName("scoring", str(wanted), SCORINGS)
        return super().__new__(KINDS[wanted])

    def __init__(self, *, columns: Mapping[str, str] | None = None, **given: Any) -> None:
        data = given.get("data")
        self._hub = None if data is None else _hub_source(data, given.get("split"), given.get("revision"))
        super().__init__(**{**given, "variant": self.scoring, "data": None if self._hub else data})
        self.columns = Columns(columns or {})
        if self.data is not None and not os.path.isdir(self.data) and given.get("split") not in (None, self.splits[0]):
            raise TaskError(
                f"--split {given['split']}: {self.data} is one file and one split; give a folder with "
                f"{given['split']}.jsonl for more"
            )
        self._ids: dict[str, str] = {}

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the ways in which answers are compared."""
        return SCORINGS

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the data have: of a folder those with a file; a single file is one."""
        if self.data is None:
            return self.info.splits
        return tuple(split for split in self.info.splits if self._found(split)) or self.info.splits[:1]

    @property
    def hub(self) -> HubSource | None:
        """The dataset that `data` names, if it names one."""
        return self._hub

    def load(self, at_least: int | None = None) -> Loaded:
        """Return every question, with counts.

        Raises:
            TaskError: a row that cannot be used, or whose id another has: with row and column.
        """
        if self.data is None and self._hub is None:
            raise TaskError(
                f"task {self.name}: say which questions with --data FILE, or the id of a dataset on the hub"
            )
        self.shots()
        # Of this split alone: the worked examples may be of another, with ids of its own.
        self._ids = {}
        return super().load(at_least)

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row."""
        return Sample(self._id(row), self.columns.text(row, "question"), self._target(row))

    def shows(self, row: DataRow) -> bool:
        """Return whether a row names a picture or a sound; those of a dataset on the hub are not read."""
        return self.data is not None and bool(self._seen(row))

    def look(self, row: DataRow, sample: Sample) -> Sample:
        """Return a sample with the picture and the sound that its row names."""
        assert self.data is not None
        kept = replace(row, values=self._seen(row))
        folder = self.data if os.path.isdir(self.data) else self.data.parent
        return replace(sample, metadata=shown_files(kept), observations=observations(kept, folder))

    def _seen(self, row: DataRow) -> dict[str, Any]:
        """Return column → what a row says it shows."""
        given = {column: self.columns.value(row, column) for column in LARGEST if self.columns.has(row, column)}
        # An empty cell shows nothing; pandas writes one as a number that is none.
        return {column: value for column, value in given.items() if value not in (None, "") and value == value}

    def sample_id(self, row: DataRow) -> str:
        """Return the id of a row that has none of its own: split unless it is the first, and number."""
        split = "" if self.split == self.splits[0] else f"-{self.split}"
        return f"file{split}-{row.number:04d}"

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return what a response announces as its answer, else its last line, as a text to compare."""
        return stated_text(unicodedata.normalize("NFKC", response))

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return what stands after `Answer:` or `The answer is` in the last line."""
        return final_text(unicodedata.normalize("NFKC", response))

    def read_target(self, given: Any, options: Sequence[str] = ()) -> str:
        """Return the answer in the spelling in which texts are compared."""
        text = comparable(unicodedata.normalize("NFKC", str(given)))
        if not text:
            raise TaskError(f"nothing is left of {str(given)[:60]!r} to compare; see --scoring regex")
        return text

    def told_scoring(self) -> str:
        """Return the scoring that the rows leave no doubt about.

        Raises:
            TaskError: they have neither options nor numbers for answers.
        """
        _, rows = self._rows(self.split)
        first = next(iter(rows := iter(rows)), None)
        if first is None:
            raise TaskError(f"{self.data or self._hub}: no questions in it")
        if self.columns.has(first, "options") or self.columns.has(first, "choices"):
            return "choice"
        for row in chain([first], rows):
            answer = self.columns.text(row, "answer")
            if normalised(answer.rpartition("####")[2].strip()) is None:
                raise self.columns.error(
                    row, "answer", f"{answer[:60]!r} is no number, so say how answers are compared: --scoring "
                    "text (equal texts), contains (named in the response), regex, mathematics, or choice with options",
                )  # fmt: skip
        return "number"

    def _target(self, row: DataRow, options: Sequence[str] = ()) -> str:
        text = self.columns.text(row, "answer")
        try:
            return self.read_target(text, options)
        except TaskError as error:
            raise self.columns.error(row, "answer", str(error)) from error

    def _id(self, row: DataRow) -> str:
        is_given = self.columns.has(row, "id")
        found = self.columns.text(row, "id") if is_given else self.sample_id(row)
        if len(found) > LONGEST_ID or not found.isprintable():
            raise self.columns.error(row, "id", f"an id is one line of at most {LONGEST_ID} characters")
        if (before := self._ids.setdefault(found, row.place)) != row.place:
            made = "" if is_given else " (made from the row's number; give every row an id, or none)"
            raise self.columns.error(row, "id", f"{found!r}{made} is the id of {before} already")
        return found

    @property
    def shot_split(self) -> str:  # type: ignore[override]
        """Where worked examples come from: another split of a folder, else the same rows, which are then not asked."""
        others = [split for split in ("train", "dev", "validation") if split in self.splits and split != self.split]
        return others[0] if others and self._hub is None else self.split

    def _found(self, split: str) -> list[Path]:
        assert self.data is not None
        # A single file has the rows of worked examples too.
        return super()._found(split) if os.path.isdir(self.data) else [self.data]


class OwnText(OwnQuestions):
    """Equal texts, whatever their case, spacing and quotes."""


class OwnNumber(NumberTask, OwnQuestions):
    """Equal numbers."""

    scoring = "number"


class OwnMathematics(MathematicsTask, OwnQuestions):
    """Equal expressions."""

    scoring = "mathematics"

    def shot(self, sample: Sample) -> Shot:
        """Return a row worked out, its answer in a box, as the prompt asks for it."""
        return Shot(super().shot(sample).question, f"\\boxed{{{spelled(sample.target)}}}")


class OwnChoice(ChoiceTask, OwnQuestions):
    """The same option; options stand below the question."""

    scoring = "choice"
    most_options = len(LETTERS)

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row with options."""
        stem, found = self.columns.text(row, "question"), self.columns.options(row)
        if found is None:
            raise row.error(
                "no column 'options' or 'choices', which --scoring choice needs; name yours with --columns options=NAME"
            )
        texts, labels = found
        listed = "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, texts, strict=False))
        return Sample(self._id(row), f"{stem}\n{listed}", self._label(row, texts, labels), texts)

    def _label(self, row: DataRow, texts: Sequence[str], labels: Sequence[str]) -> str:
        """Return the letter of the right option.

        Raises:
            TaskError: the answer is none of the options, or can be read as two of them.
        """
        said, letters = self.columns.text(row, "answer"), LETTERS[: len(texts)]
        value = self.columns.value(row, "answer")
        meant = {letters[place] for place, label in enumerate(labels) if label == said}
        meant |= {letters[place] for place, text in enumerate(texts) if text == said}
        is_place = isinstance(value, int) and not isinstance(value, bool)
        if not labels and (found := option_label(value if is_place else said, letters, texts)):
            meant.add(found)
        if not meant and (found := option_label(said, letters, texts)):
            meant.add(found)
        if not meant:
            hint = " Places count from 0; a letter is clearer." if said.isdigit() else ""
            raise self.columns.error(row, "answer", f"{said[:60]!r} is none of the {len(texts)} options.{hint}")
        if len(meant) > 1:
            raise self.columns.error(
                row, "answer", f"{said[:60]!r} can mean option {' or '.join(sorted(meant))}; write a letter in brackets, or a "
                "text",
            )  # fmt: skip
        return meant.pop()


class OwnContains(OwnQuestions):
    """A response that names the answer, as words of their own, anywhere in it."""

    scoring = "contains"

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the whole response: what is looked for may stand anywhere."""
        return said(response).strip() or None

    def score(self, answer: str | None, target: str) -> Score:
        """Return whether the answer names the target."""
        if answer is None:
            return Score("no answer", None, target)
        return Score("correct" if mentions(answer, target) else "incorrect", answer, target)


class OwnPattern(OwnQuestions):
    """A response in which the answer, a regular expression, is found."""

    scoring = "regex"

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the whole response: what is looked for may stand anywhere."""
        return said(response).strip() or None

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the last line, where it announces an answer."""
        line = last_line(said(response))
        return line if final_text(line) else None

    def score(self, answer: str | None, target: str) -> Score:
        """Return whether the pattern is found; `failed` where that took too long."""
        if answer is None:
            return Score("no answer", None, target)
        verdict = found_in(target, answer)
        if isinstance(verdict, str):
            return Score("failed", answer, target, reason=verdict)
        return Score("correct" if verdict else "incorrect", answer, target)

    def read_target(self, given: Any, options: Sequence[str] = ()) -> str:
        """Return the pattern, which has to be one."""
        pattern = str(given).strip()
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise TaskError(f"no regular expression: {pattern[:60]!r} ({error})") from error
        return pattern

    def shots(self) -> tuple[Shot, ...]:
        """Return none: a pattern is no answer to show.

        Raises:
            TaskError: some were asked for.
        """
        if self.num_fewshot:
            raise TaskError(
                "--scoring regex: its answers are patterns, and no worked examples can be made of them: --num_fewshot 0"
            )
        return ()

    def spoken(self, sample: Sample) -> str | None:
        """Return None: nobody says a pattern."""
        return None


KINDS: Mapping[str, type[OwnQuestions]] = {
    kind.scoring: kind for kind in (OwnNumber, OwnChoice, OwnMathematics, OwnText, OwnContains, OwnPattern)
}


def _hub_source(data: Path, split: str | None, revision: str | None) -> HubSource | None:
    """Return the dataset on the hub that `--data` names; None where it is a file or folder, there or misspelt."""
    named = _HUB_ID.fullmatch(data.as_posix())
    if os.path.exists(data) or named is None or any(data.name.endswith(ending) for ending in _endings()):
        return None
    splits = {ours: ours for ours in OwnQuestions.info.splits}
    return HubSource(named["repository"], named["config"], revision or "main", splits)


def _endings() -> Iterable[str]:
    return (*READABLE, ".gz", ".txt", ".yaml")
