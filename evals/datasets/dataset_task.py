"""Tasks whose questions are rows: from a file, a folder of files, or the hub. Nothing is dropped without being counted."""

import os
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from agents.errors import TaskError
from evals.datasets.hub import HubSource, hub_rows
from evals.datasets.rows import DataRow, read_rows
from evals.identity import identity, plain
from evals.sample import Loaded, Sample, Score
from evals.scoring.mathematics import boxed_expression, equal, same_value, spelled, stated_expression
from evals.scoring.numbers import final_number, normalised, stated_number
from evals.scoring.options import LETTERS, final_option, option_label, stated_option
from evals.scoring.words import final_word, stated_word
from evals.task import Choose, Shot, Task

# Sentences about rows that are kept in full; the rest are counted.
MOST_NOTES = 5
# Characters of a sample's id.
LONGEST_ID = 200


class Unusable(Exception):
    """A row of the published file that is known to be broken: it is left out, counted, and named in a note."""


class DatasetTask(Task):
    """A task over rows.

    A subclass says where they are (`hub`, `files`) and what a row means (`parse`).

    `--data` takes a file of the split, or a folder in which `files` are looked for.
    """

    # Split → names of its file in a folder, the first that exists.
    files: ClassVar[Mapping[str, Sequence[str]]] = {}
    # Whether the first line of a CSV names its columns.
    header: ClassVar[bool] = True
    # The split that worked examples are taken from, its first rows.
    shot_split: ClassVar[str | None] = None
    # Of which samples rows are looked at, while some are chosen.
    _looks: Callable[[Sample], bool] | None = None

    @property
    def hub(self) -> HubSource | None:
        """The dataset on the hub, if it is there."""
        return None

    @abstractmethod
    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row.

        Raises:
            TaskError: a column that is missing or empty, with file and row.
            Unusable: a row that is known to be broken in what was published.
        """

    def shows(self, row: DataRow) -> bool:
        """Return whether a row shows something besides its words, which `look` reads."""
        return False

    def look(self, row: DataRow, sample: Sample) -> Sample:
        """Return the sample of a row with what the row shows.

        Raises:
            TaskError: a file that cannot be read, or is none of its kind, with file and row.
        """
        return sample

    def load(self, at_least: int | None = None) -> Loaded:
        """Return every sample of the split, those that the prompt shows left out, with counts.

        What rows show besides their words is read for the first `at_least` samples alone: pictures take memory, and no more are
        asked. Later rows that show something are neither read further nor compared; they are samples all the same.
        """
        source, rows = self._rows(self.split)
        shown = {identity(shot) for shot in self.shots()}
        samples: list[Sample] = []
        removed: dict[str, int] = {}
        notes: list[str] = []
        first: dict[str, tuple[DataRow, Sample]] = {}
        repeats: list[str] = []
        rows_in = 0
        for row in rows:
            rows_in += 1
            try:
                sample = self.parse(row)
            except Unusable as error:
                removed[str(error)] = removed.get(str(error), 0) + 1
                notes.append(f"{row.place}: {error}; left out")
                continue
            if self.shows(row):
                looks = self._looks(sample) if self._looks else at_least is None or len(samples) < at_least
                if not looks:
                    samples.append(sample)
                    continue
                sample = self.look(row, sample)
            question = identity(sample)
            if question in shown:
                removed["few-shot example"] = removed.get("few-shot example", 0) + 1
                continue
            if question in first:
                before, other = first[question]
                differs = (
                    "" if other.target == sample.target else f", with another answer ({sample.target}, {other.target})"
                )
                repeats.append(f"{row.place}: the question of {before.place} again{differs}; kept")
            first.setdefault(question, (row, sample))
            samples.append(sample)
        if not rows_in:
            raise TaskError(f"{source}: no questions in it")
        notes += repeats[:MOST_NOTES]
        if len(repeats) > MOST_NOTES:
            notes.append(f"{source}: {len(repeats) - MOST_NOTES} more questions that stood before; kept")
        return Loaded(tuple(samples), rows_in, removed, tuple(notes), source, len(repeats))

    def load_chosen(self, choose: Choose, shown: Collection[str] = ()) -> Loaded:
        """Return every sample of the split; what rows show is read for those that are chosen.

        Besides, for those in the words of a worked example or of `shown`: which of them are left out decides what is chosen.
        """
        words = {plain(question) for question in (*shown, *(shot.question for shot in self.shots()))}
        found = self._loaded(lambda sample: plain(sample.question) in words)
        chosen = {sample.id for sample in choose(found.samples)}
        return self._loaded(lambda sample: sample.id in chosen or plain(sample.question) in words)

    def _loaded(self, looks: Callable[[Sample], bool]) -> Loaded:
        # By `load`, which a subclass may have of its own.
        self._looks = looks
        try:
            return self.load()
        finally:
            self._looks = None

    def shots(self) -> tuple[Shot, ...]:
        """Return the first rows of `shot_split`, worked; () where none are asked for or the data have none."""
        return self._shots

    @cached_property
    def _shots(self) -> tuple[Shot, ...]:
        if not self.num_fewshot:
            return ()
        if self.shot_split is None:
            raise TaskError(f"task {self.name!r} has no rows for worked examples: --num_fewshot 0")
        if self.data is not None and not self._found(self.shot_split):
            # A single file, or a folder without that split: no rows to show.
            if self.asks_for_shots:
                wanted = ", ".join(self.candidates(self.shot_split)) or self.shot_split
                raise TaskError(
                    f"--num_fewshot {self.num_fewshot}: {self.data} has no rows of the {self.shot_split} split for worked "
                    f"examples; give a folder that also has {wanted}, or --num_fewshot 0"
                )
            return ()
        _, rows = self._rows(self.shot_split)
        found: list[Shot] = []
        for row in rows:
            if len(found) == self.num_fewshot:
                break
            sample = self.parse(row)
            if self.shows(row):
                sample = self.look(row, sample)
            found.append(replace(self.shot(sample), observations=sample.observations))
        return tuple(found)

    def shot(self, sample: Sample) -> Shot:
        """Return a sample worked out."""
        return Shot(sample.question, f"Answer: {sample.target}")

    def solution(self, sample: Sample) -> str:
        """Return the row's own solution where it has one, then the answer."""
        rationale = str(sample.metadata.get("rationale") or "").strip()
        return f"{rationale}\nAnswer: {sample.target}" if rationale else super().solution(sample)

    def sample_id(self, row: DataRow) -> str:
        """Return the id of a row's sample: task, split unless it is the first, and number."""
        split = "" if self.split == self.info.splits[0] else f"-{self.split}"
        return f"{self.name.replace(':', '-')}{split}-{row.number:04d}"

    def candidates(self, split: str) -> Sequence[str]:
        """Return the names that a split's file may have in a folder."""
        return self.files.get(split, ())

    def file_rows(self, path: Path) -> Iterable[DataRow]:
        """Return the rows of a file."""
        return read_rows(path, header=self.header)

    def _found(self, split: str) -> list[Path]:
        """Return the files of a split in the folder that --data names; none where it names a file."""
        assert self.data is not None
        if not os.path.isdir(self.data):
            return []
        for name in self.candidates(split):
            if os.path.isfile(path := self.data / name):
                return [path]
        return []

    def _rows(self, split: str) -> tuple[str, Iterable[DataRow]]:
        if self.data is not None:
            if not os.path.isdir(self.data):
                return str(self.data), self.file_rows(self.data)
            found = self._found(split)
            if not found:
                wanted = ", ".join(self.candidates(split)) or "no file of that split is known"
                raise TaskError(f"{self.data}: no file for the split {split!r} of {self.name!r}. Looked for: {wanted}.")
            source = str(found[0]) if len(found) == 1 else f"{self.data} ({len(found)} files)"
            return source, (row for path in found for row in self.file_rows(path))
        hub = self.hub
        if hub is None or split not in hub.splits:
            raise TaskError(f"task {self.name!r} has no {split} split on the hub: give a file or folder with --data")
        return hub_rows(hub, split, self.revision)


class NumberTask(DatasetTask):
    """A task whose answer is one number."""

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the stated number."""
        return stated_number(response)

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the number of a response that ends in `Answer: N`, `The answer is N` or `#### N`."""
        return final_number(response)

    def read_target(self, given: Any, options: Sequence[str] = ()) -> str:
        """Return the number, also of a rationale that ends in `#### N`."""
        number = normalised(str(given).rpartition("####")[2].strip())
        if number is None:
            raise TaskError(f"the target is no number: {str(given)[:80]!r}")
        return number


class ChoiceTask(DatasetTask):
    """A task whose answer is one of several options, called A, B, C, …"""

    # How many options there can be; where a sample's own are not given, letters up to there are read.
    most_options: ClassVar[int] = 4

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the letters of the options."""
        return tuple(LETTERS[: len(sample.options)])

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the letter of the chosen option; by its text as well, where the options are given."""
        return stated_option(response, self._letters(options), options)

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the letter of a response that ends in `Answer: X` or `The answer is (X)`."""
        return final_option(response, self._letters(options))

    def read_target(self, given: Any, options: Sequence[str] = ()) -> str:
        """Return the letter, also of an option's text or its place from 0."""
        label = option_label(given, self._letters(options), options)
        if label is None:
            raise TaskError(f"the target is none of the options: {str(given)[:80]!r}")
        return label

    def choice(self, row: DataRow, stem: str, options: Sequence[str], answer: object, **metadata: Any) -> Sample:
        """Return the sample of a row: the options stand below the stem, `(A) …` a line."""
        texts = tuple(str(option).strip() for option in options)
        if not 2 <= len(texts) <= len(LETTERS):
            raise row.error(f"a choice has 2 to {len(LETTERS)} options; this one has {len(texts)}")
        if not all(texts):
            raise row.error(f"option {LETTERS[texts.index('')]} is empty")
        if answer is None or str(answer).strip() == "":
            raise row.error(f"no answer; the split {self.split!r} may be published without them")
        label = option_label(answer, LETTERS[: len(texts)], texts)
        if label is None:
            raise row.error(f"the answer {str(answer)[:60]!r} is none of the {len(texts)} options")
        listed = "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, texts, strict=False))
        return Sample(self.sample_id(row), f"{stem.strip()}\n{listed}", label, texts, metadata)

    def _letters(self, options: Sequence[str]) -> str:
        return LETTERS[: len(options) or self.most_options]


class WordTask(DatasetTask):
    """A task whose answer is one of two words, e.g. yes or no; the words are its options."""

    words: ClassVar[Mapping[str, Sequence[str]]]

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the words."""
        return tuple(self.words)

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the word that the response answers with."""
        return stated_word(response, self.words)

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the word of a response whose last line ends in `Answer: word`."""
        return final_word(response, self.words)

    def read_target(self, given: Any, options: Sequence[str] = ()) -> str:
        """Return the word, also of a truth value."""
        said = str(given).strip().lower()
        for word, spellings in self.words.items():
            if said in spellings or said == word.lower():
                return word
        raise TaskError(f"the target is none of {', '.join(self.words)}: {str(given)[:80]!r}")

    def question(self, row: DataRow, text: str, answer: Any, **metadata: Any) -> Sample:
        """Return the sample of a row."""
        try:
            target = self.read_target(answer)
        except TaskError as error:
            raise row.error(str(error)) from error
        return Sample(self.sample_id(row), text, target, tuple(self.words), metadata)


class MathematicsTask(DatasetTask):
    """A task whose answer is an expression, compared by math-verify."""

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the expression in the last box, else what is announced."""
        return stated_expression(response)

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the expression of a response whose last line has a box or ends in `Answer: …`."""
        return boxed_expression(response)

    def same(self, one: str, other: str) -> bool | None:
        """Return whether two expressions are one number or amount; other expressions go by their spelling.

        None where one of them leaves out a unit that the other names.
        """
        return same_value(one, other)

    def score(self, answer: str | None, target: str) -> Score:
        """Return the score; `failed` where the comparison took too long."""
        if answer is None:
            return Score("no answer", None, target)
        verdict = equal(answer, target)
        if isinstance(verdict, str):
            return Score("failed", answer, target, reason=verdict)
        return Score("correct" if verdict else "incorrect", answer, target)

    def read_target(self, given: Any, options: Sequence[str] = ()) -> str:
        """Return the expression in one spelling."""
        target = spelled(str(given))
        if not target:
            raise TaskError("the target is empty")
        return target
