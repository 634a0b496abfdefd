"""MATH-500 (Hendrycks et al., 2021; Lightman et al., 2023) and AIME: answers are expressions, compared by math-verify.

Rows have problem and answer, or Soft-Thinking's prompt and final_answer. AIME problems are the MAA's, with no open licence
known. The hub's revision of AIME 2025 is not known here.
"""

from collections.abc import Sequence
from typing import Any

from agents.errors import TaskError
from evals.datasets.dataset_task import MathematicsTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import TaskInfo

_AIME = {
    "2024": HubSource("HuggingFaceH4/aime_2024", None, "2fe88a2f1091d5048c0f36abc874fb997b3dd99a", {"test": "train"}),
    "2025": HubSource("yentinglin/aime_2025", None, "main", {"test": "train"}),
}


class Problems(MathematicsTask):
    """A problem, an expression."""

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row of either layout."""
        if row.has("prompt"):
            prompt = row.get("prompt")
            if not isinstance(prompt, list) or not prompt or "value" not in prompt[0]:
                raise row.error("prompt is a list of turns with a value")
            question = str(prompt[0]["value"]).strip()
        else:
            question = row.text("problem", "question")
        kept = {key: str(row.values[key]) for key in ("subject", "level", "unique_id") if row.has(key)}
        if row.has("solution"):
            kept["rationale"] = row.text("solution")
        try:
            target = self.read_target(row.text("final_answer", "answer"))
        except TaskError as error:
            raise row.error(str(error).removeprefix(f"{row.place}: ")) from error
        return Sample(self.sample_id(row), question, target, metadata=kept)


class Math500(Problems):
    """500 competition problems."""

    name = "math500"
    info = TaskInfo(
        "mathematics", ("test",), "HuggingFaceH4/MATH-500", "MIT", "equal expressions (math-verify)", extra="evals"
    )
    files = {"test": ("math500.json", "test.jsonl")}
    hub = HubSource("HuggingFaceH4/MATH-500", None, "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", {"test": "test"})


class AIME(Problems):
    """30 problems a year, `aime:2024` or `aime:2025`; answers are integers from 0 to 999."""

    name = "aime"
    info = TaskInfo(
        "mathematics",
        ("test",),
        "HuggingFaceH4/aime_2024, yentinglin/aime_2025",
        "none known (MAA)",
        "equal expressions (math-verify)",
        extra="evals",
    )

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if self.variant is None:
            raise TaskError(f"which year of AIME? Write aime:YEAR. Years: {', '.join(_AIME)}.")
        self.year = self.variant

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the years."""
        return tuple(_AIME)

    @property
    def hub(self) -> HubSource:
        """The year's dataset."""
        return _AIME[self.year]

    def candidates(self, split: str) -> Sequence[str]:
        """Return the name of the year's file."""
        return (f"aime{self.year}.json",)
