"""Which columns of a user's file mean what: question, answer, options, id, image and audio, under names of their own."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.errors import TaskError
from evals.datasets.rows import DataRow
from evals.scoring.options import LETTERS
from kernels.names import did_you_mean

COLUMNS = ("question", "answer", "options", "choices", "id", "image", "audio")
NEEDED = ("question", "answer")


def parse_columns(text: str) -> dict[str, str]:
    """Return our name of a column → the file's, of `question=prompt,answer=gold`.

    Raises:
        TaskError: no such pairs, or a column that has no meaning here.
    """
    found: dict[str, str] = {}
    for pair in text.split(","):
        ours, equals, theirs = (piece.strip() for piece in pair.partition("="))
        if not (ours and equals and theirs):
            raise TaskError(f"--columns {text!r}: write OURS=YOURS pairs, e.g. --columns question=prompt,answer=gold")
        if ours in found:
            raise TaskError(f"--columns {text!r}: {ours} is named twice; name it once")
        found[ours] = theirs
    return checked_columns(found)


def checked_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """Return a mapping of columns as it is.

    Raises:
        TaskError: a column that has no meaning here.
    """
    for ours in columns:
        if ours not in COLUMNS:
            raise TaskError(
                f"--columns: {ours!r} is none of {', '.join(COLUMNS)}.{did_you_mean(ours, COLUMNS)} Write OURS=YOURS, e.g. "
                "question=prompt"
            )
    return dict(columns)


class Columns:
    """Reads rows by the names of a mapping; a column that is not in it has its own name.

    Args:
        named: our name of a column → the file's; of options also several, joined by `+`, one for each option.
    """

    def __init__(self, named: Mapping[str, str]) -> None:
        self._named = checked_columns(named)

    def name(self, ours: str) -> str:
        """Return the file's name of a column."""
        return self._named.get(ours, ours)

    def error(self, row: DataRow, ours: str, sentence: str) -> TaskError:
        """Return an error about one value, with its row and column."""
        return row.error(f"column {self.name(ours)!r}: {sentence}")

    def has(self, row: DataRow, ours: str) -> bool:
        """Return whether the row has the column; one that the user named has to be there."""
        return ours in self._named or row.has(ours)

    def value(self, row: DataRow, ours: str) -> Any:
        """Return the value of a column.

        Raises:
            TaskError: the row is no object, or lacks the column.
        """
        if not isinstance(row.values, dict):
            raise row.error(f"a row is an object with named columns; this is a {type(row.values).__name__}")
        theirs = self.name(ours)
        if theirs not in row.values and set(row.values) == {"key", "value"}:
            raise row.error(
                f"no column {theirs!r}: the file is one object; questions are an array of rows, [{{…}}, {{…}}]"
            )
        if theirs not in row.values:
            has = ", ".join(map(str, row.values)) or "none"
            raise row.error(f"no column {theirs!r}. It has: {has}. Name yours with --columns {ours}=NAME.")
        return row.values[theirs]

    def text(self, row: DataRow, ours: str) -> str:
        """Return a text or a number as text, without white space around it.

        Raises:
            TaskError: it is empty, or neither.
        """
        value = self.value(row, ours)
        if value is not None and not isinstance(value, str | int | float):
            raise self.error(
                row, ours, f"a text or a number is needed; this is a {type(value).__name__}: {_short(value)}"
            )
        said = "" if value is None or value != value else str(value).strip()
        if not said:
            raise self.error(row, ours, "it is empty")
        self._check_characters(row, ours, said)
        return said

    def _check_characters(self, row: DataRow, ours: str, *texts: str) -> None:
        """Refuse a lone surrogate, half of a character that was cut in two: no file can hold it."""
        for text in texts:
            if odd := next((character for character in text if "\ud800" <= character <= "\udfff"), None):
                raise self.error(
                    row, ours, f"half a character, \\u{ord(odd):04x}, which cannot be written; take it out"
                )

    def options(self, row: DataRow) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Return the texts of a choice and the labels that the row itself gives them, () for none; None of no choice.

        Raises:
            TaskError: two columns of options, or one that cannot be read as options.
        """
        found = [ours for ours in ("options", "choices") if self.has(row, ours)]
        if not found:
            return None
        if len(found) == 2:
            both = " and ".join(repr(self.name(ours)) for ours in found)
            raise row.error(f"{both} are both columns of options; name the one to read, e.g. --columns options=NAME")
        ours = found[0]
        texts, labels = self._several(row, ours) if "+" in self.name(ours) else self._one(row, ours)
        if not 2 <= len(texts) <= len(LETTERS):
            raise self.error(row, ours, f"a choice has 2 to {len(LETTERS)} options; this one has {len(texts)}")
        self._check_characters(row, ours, *texts, *labels)
        for place, option in enumerate(texts):
            if not option:
                raise self.error(row, ours, f"option {LETTERS[place]} is empty")
        if len(set(texts)) < len(texts):
            twice = next(option for option in texts if texts.count(option) > 1)
            raise self.error(row, ours, f"two options are {_short(twice)}; no answer could tell them apart")
        return texts, labels

    def _several(self, row: DataRow, ours: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Read one column for each option; empty ones at the end are options that this row does not have."""
        named = [name.strip() for name in self.name(ours).split("+")]
        texts = []
        for name in named:
            if not row.has(name):
                raise row.error(f"no column {name!r}. It has: {', '.join(map(str, row.values))}.")
            value = row.values[name]
            texts.append("" if value is None or value != value else str(value).strip())
        while texts and not texts[-1]:
            texts.pop()
        return tuple(texts), ()

    def _one(self, row: DataRow, ours: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        value = self.value(row, ours)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                value = [piece.strip() for piece in value.split("|")]
        labels: Sequence[Any] = ()
        if isinstance(value, dict) and {"text", "label"} <= set(value):
            value, labels = value["text"], value["label"]
        elif isinstance(value, dict):
            value, labels = list(value.values()), list(value)
        if not isinstance(value, list | tuple) or not isinstance(labels, list | tuple):
            raise self.error(
                row, ours, "options are a list, an object of label and text, or texts separated by |; this is "
                f"{_short(value)}",
            )  # fmt: skip
        if labels and len(labels) != len(value):
            raise self.error(row, ours, f"{len(labels)} labels for {len(value)} options")
        if not all(isinstance(option, str | int | float) for option in value):
            raise self.error(row, ours, "each option is a text or a number")
        return tuple(str(option).strip() for option in value), tuple(str(label).strip() for label in labels)


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}…"
