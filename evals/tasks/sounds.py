"""One's own recordings: what is heard?

`--data` is one sound file, a folder of them, or a table (`.csv`, `.jsonl`, …; in a folder `sounds.csv` and so on) with a column
`audio`, a path beside the table, and where they are known `answer`, `question` and `id`. What stands after the colon names the
classes: `sounds:audioset`, `sounds:speech_commands`; by default they are the table's answers. A row without an answer is
debated and decided, and not scored. Sounds have any rate; agents resample them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from agents.errors import TaskError
from agents.models.sounds.label_names import NAMED, label_names
from evals.datasets.dataset_task import LONGEST_ID, DatasetTask
from evals.datasets.observed import AUDIO, observations, shown_files
from evals.datasets.rows import READABLE, DataRow
from evals.sample import Sample, Score
from evals.scoring.run_ons import answer_part
from evals.scoring.text import after_cues, without_markup
from evals.scoring.words import comparable, stated_text
from evals.task import TaskInfo

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
QUESTION = "what is heard?"


class Sounds(DatasetTask):
    """The name of a class of sound."""

    name = "sounds"
    info = TaskInfo(
        kind="choice",
        splits=("test",),
        source="your own sound files",
        licence="yours",
        scoring="equal texts",
        needs_data=True,
        extra="sound",
    )
    files = {"test": tuple(f"sounds{kind}" for kind in READABLE)}

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the lists of classes that are shipped."""
        return tuple(NAMED)

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a recording."""
        asked = row.text("question") if row.has("question") else f"Recording {row.number}: {QUESTION}"
        answer = str(row.get("answer") or "").strip() if row.has("answer") else ""
        try:
            target = self.read_target(answer) if answer else ""
        except TaskError as error:
            raise row.error(str(error)) from error
        row.get(AUDIO)
        return Sample(self._id(row), asked, target, metadata={AUDIO: shown_files(row)[AUDIO]})

    def _id(self, row: DataRow) -> str:
        """Return the id of a recording, which no other has: turns are kept by it."""
        found = row.text("id") if row.has("id") else self.sample_id(row)
        if len(found) > LONGEST_ID or not found.isprintable():
            raise row.error(f"an id is one line of at most {LONGEST_ID} characters")
        if (before := self._ids.setdefault(found, row.place)) != row.place:
            raise row.error(f"the id {found!r} is that of {before} already")
        return found

    @cached_property
    def _ids(self) -> dict[str, str]:
        """Id → place of the row that has it."""
        return {}

    def shows(self, row: DataRow) -> bool:
        """Return True: every row is a recording."""
        return True

    def look(self, row: DataRow, sample: Sample) -> Sample:
        """Return the sample of a recording with its sound."""
        assert self.data is not None
        folder = self.data if self.data.is_dir() else self.data.parent
        return replace(sample, observations=observations(row, folder, is_listed=bool(self._recordings)))

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the classes."""
        return self._classes

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the class after the last `Answer:`, the longest that begins there, else the only one that is said."""
        if not self._classes:
            return stated_text(response)
        spelled = sorted(((comparable(each), each) for each in self._classes), key=lambda pair: -len(pair[0]))
        text = without_markup(answer_part(response))
        for rest in after_cues(text):
            said = comparable(rest)
            if found := next((each for label, each in spelled if _begins(said, label)), None):
                return found
        said = comparable(text)
        whole = {each for label, each in spelled if said == label}
        return whole.pop() if len(whole) == 1 else None

    def read_target(self, given: Any, options: Sequence[str] = ()) -> str:
        """Return the class as the list spells it, or the first row of the table that has it."""
        found = self._spelled.get(comparable(str(given)))
        if self.variant is None:
            return found or super().read_target(given)
        if found is None:
            raise TaskError(f"{str(given)[:80]!r} is none of the {NAMED[self.variant]} classes of {self.variant}")
        return found

    def score(self, answer: str | None, target: str) -> Score:
        """Return the score; `failed` where nobody says what is right."""
        if not target:
            return Score("failed", answer, target, reason="the recording has no answer to compare with")
        return super().score(answer, target)

    @property
    def _classes(self) -> tuple[str, ...]:
        """The list's, or the answers of the table."""
        return tuple(self._spelled.values())

    @cached_property
    def _spelled(self) -> dict[str, str]:
        """What a class is compared by → its name, as the list or the first row that has it spells it."""
        if self.variant is not None:
            names: Iterable[str] = label_names(self.variant)
        elif self.data is None:
            names = ()
        else:
            _, rows = self._rows(self.split)
            names = (str(row.get("answer") or "").strip() for row in rows if row.has("answer"))
        found: dict[str, str] = {}
        for name in filter(None, names):
            found.setdefault(comparable(name), name)
        return found

    def _rows(self, split: str) -> tuple[str, Iterable[DataRow]]:
        if self.data is None:
            raise TaskError("sounds has no hub source: give a sound file, a folder of them or a table with --data")
        if self._recordings:
            folder = self.data if self.data.is_dir() else self.data.parent
            return str(self.data), _listed(self._recordings, folder)
        if self.data.is_dir() and not self._found(split):
            raise TaskError(f"{self.data}: no {', '.join(SOUNDS)} and no table sounds.csv, sounds.jsonl, … in it")
        return super()._rows(split)

    @cached_property
    def _recordings(self) -> Sequence[Path]:
        """The sound that the user named, or those of the folder that the user named; none where a table lists them."""
        if self.data is None:
            return ()
        if not self.data.is_dir():
            return (self.data,) if self.data.suffix.lower() in SOUNDS else ()
        if self._found(self.split):
            return ()
        return sorted(path for path in self.data.iterdir() if path.suffix.lower() in SOUNDS)


def _listed(paths: Sequence[Path], folder: Path) -> Iterable[DataRow]:
    for number, path in enumerate(paths, start=1):
        yield DataRow({AUDIO: str(path.relative_to(folder))}, number, str(path), path.name)


def _begins(said: str, label: str) -> bool:
    """Return whether a text begins with a label and no letter or digit follows it."""
    return said.startswith(label) and not said[len(label) : len(label) + 1].isalnum()
