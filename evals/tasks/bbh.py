"""BIG-Bench Hard (Suzgun et al., 2022): 27 tasks, `bbh:NAME`; `bbh` needs a name, since each is scored in its own way.

Letters where the row lists options, else yes/no, true/false, valid/invalid, a number, or a text. In the published files a
few targets are none of their options (movie_recommendation, ruin_names): those rows are left out, counted and named.
The files carry the BIG-bench canary: for evaluation only. The hub's revision is not known here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.errors import TaskError
from evals.datasets.dataset_task import DatasetTask, Unusable
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.scoring.numbers import final_number, normalised, stated_number
from evals.scoring.options import LETTERS, final_option, option_label, stated_option
from evals.scoring.words import TRUE_FALSE, YES_NO, comparable, final_text, final_word, stated_text, stated_word
from evals.task import TaskInfo

_WORDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "boolean_expressions": TRUE_FALSE,
    "causal_judgement": YES_NO,
    "formal_fallacies": {"valid": ("valid",), "invalid": ("invalid",)},
    "navigate": YES_NO,
    "sports_understanding": YES_NO,
    "web_of_lies": YES_NO,
}
_NUMBERS = ("multistep_arithmetic_two", "object_counting")
_TEXTS = ("dyck_languages", "word_sorting")
_LETTERS = tuple(
    """date_understanding disambiguation_qa geometric_shapes hyperbaton logical_deduction_five_objects
    logical_deduction_seven_objects logical_deduction_three_objects movie_recommendation penguins_in_a_table
    reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks temporal_sequences
    tracking_shuffled_objects_five_objects tracking_shuffled_objects_seven_objects
    tracking_shuffled_objects_three_objects""".split()
)
NAMES = tuple(sorted((*_WORDS, *_NUMBERS, *_TEXTS, *_LETTERS)))
_OPTION = re.compile(r"^\(([A-Z])\) (.*)$", re.MULTILINE)


class BBH(DatasetTask):
    """One of the 27."""

    name = "bbh"
    info = TaskInfo("text", ("test",), "lukaemon/bbh", "MIT", "letters, words, numbers or texts, by task")

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if self.variant is None:
            raise TaskError(f"bbh is 27 tasks: write bbh:NAME. Names: {', '.join(NAMES)}.")
        self.task = self.variant

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the names of the tasks."""
        return NAMES

    @property
    def hub(self) -> HubSource:
        """The task's configuration."""
        return HubSource("lukaemon/bbh", self.task, "main", {"test": "test"})

    def candidates(self, split: str) -> Sequence[str]:
        """Return the names of the task's file."""
        return (f"{self.task}.json", f"bbh/{self.task}.json")

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of an {"input", "target"} row."""
        question, target = row.text("input"), row.text("target")
        options: tuple[str, ...] = ()
        if self.task in _LETTERS:
            listed = _OPTION.findall(question)
            options = tuple(text.strip() for _, text in listed)
            if [letter for letter, _ in listed] != list(LETTERS[: len(listed)]) or len(listed) < 2:
                raise Unusable("its options are not (A), (B), …")
        elif self.task in _WORDS:
            options = tuple(_WORDS[self.task])
        try:
            return Sample(self.sample_id(row), question, self.read_target(target, options), options)
        except TaskError as error:
            raise Unusable("its target is none of its options" if options else str(error)) from error

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return letters, words, or nothing."""
        return tuple(LETTERS[: len(sample.options)]) if self.task in _LETTERS else sample.options

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the answer of the task's kind."""
        if self.task in _LETTERS:
            return stated_option(response, LETTERS[: len(options) or 18], options)
        if self.task in _WORDS:
            return stated_word(response, _WORDS[self.task])
        return stated_number(response) if self.task in _NUMBERS else stated_text(response)

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the answer of a response that ends in `Answer: …` or `The answer is …`."""
        if self.task in _LETTERS:
            return final_option(response, LETTERS[: len(options) or 18])
        if self.task in _WORDS:
            return final_word(response, _WORDS[self.task])
        return final_number(response) if self.task in _NUMBERS else final_text(response)

    def read_target(self, given: Any, options: Sequence[str] = ()) -> str:
        """Return the answer in the spelling of `extract`."""
        text = str(given).strip()
        if self.task in _LETTERS:
            found = option_label(text, LETTERS[: len(options) or 18], options)
        elif self.task in _WORDS:
            found = next((word for word in _WORDS[self.task] if word.lower() == text.lower()), None)
        else:
            found = normalised(text) if self.task in _NUMBERS else comparable(text)
        if not found:
            raise TaskError(f"the target is no answer to bbh:{self.task}: {text[:80]!r}")
        return found
