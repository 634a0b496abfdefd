"""MMLU (Hendrycks et al., 2021): four options, 57 subjects, `mmlu:SUBJECT`; `mmlu` is all of them.

5-shot from the subject's dev rows; `mmlu` alone, having no one subject, is asked without examples. The three subjects of
the CIPHER paper are `mmlu:high_school_mathematics`, `mmlu:professional_psychology` and `mmlu:formal_logic`.
Files are the original's CSV without a header (question, A, B, C, D, letter); a folder is its layout, `test/SUBJECT_test.csv`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.errors import TaskError
from evals.datasets.dataset_task import ChoiceTask
from evals.datasets.hub import HubSource
from evals.datasets.rows import DataRow
from evals.sample import Sample
from evals.task import Shot, TaskInfo

SUBJECTS = tuple(
    """abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology college_chemistry
    college_computer_science college_mathematics college_medicine college_physics computer_security conceptual_physics
    econometrics electrical_engineering elementary_mathematics formal_logic global_facts high_school_biology
    high_school_chemistry high_school_computer_science high_school_european_history high_school_geography
    high_school_government_and_politics high_school_macroeconomics high_school_mathematics high_school_microeconomics
    high_school_physics high_school_psychology high_school_statistics high_school_us_history high_school_world_history
    human_aging human_sexuality international_law jurisprudence logical_fallacies machine_learning management marketing
    medical_genetics miscellaneous moral_disputes moral_scenarios nutrition philosophy prehistory professional_accounting
    professional_law professional_medicine professional_psychology public_relations security_studies sociology
    us_foreign_policy virology world_religions""".split()
)
_FOLDER = {"test": "test", "validation": "val", "dev": "dev"}


class MMLU(ChoiceTask):
    """A question of an exam, four options."""

    name = "mmlu"
    info = TaskInfo("choice", ("test", "validation", "dev"), "cais/mmlu", "MIT", "equal letters")
    header = False
    shot_split = "dev"
    default_shots = 5

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if self.variant is None:
            if given.get("num_fewshot"):
                raise TaskError("mmlu has examples by subject: write mmlu:SUBJECT, or --num_fewshot 0")
            self.num_fewshot = 0

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the subjects."""
        return SUBJECTS

    @property
    def hub(self) -> HubSource:
        """The subject's configuration, or `all`."""
        return HubSource(
            "cais/mmlu",
            self.variant or "all",
            "c30699e8356da336a370243923dbaf21066bb9fe",
            {"test": "test", "validation": "validation", "dev": "dev"},
        )

    def candidates(self, split: str) -> Sequence[str]:
        """Return the names of the subject's file: the original's layout, a flat folder, or CIPHER's 200 questions."""
        folder = _FOLDER[split]
        names = [f"{self.variant}_{folder}.csv"]
        if split != "dev":
            half = "test" if split == "test" else "valid"
            names += [f"{self.variant}_split_{half}set_200questions.csv"]
        return [f"{inside}{name}" for name in names for inside in (f"{folder}/", "", f"mmlu/{folder}/", "mmlu/test/")]

    def _found(self, split: str) -> list[Path]:
        if self.variant is not None or self.data is None or not self.data.is_dir():
            return super()._found(split)
        folder = _FOLDER[split]
        return sorted((self.data / folder).glob(f"*_{folder}.csv"))

    def parse(self, row: DataRow) -> Sample:
        """Return the sample of a row."""
        if isinstance(row.values, list):
            stem, *options, answer = row.cells(6)
            # Of a file of one subject the name says which.
            subject = row.file.rsplit("_", 1)[0]
            return self._sample(row, stem, options, answer, subject)
        # The hub has the answer as a number from 0.
        options = row.get("choices")
        return self._sample(row, row.text("question"), options, row.get("answer"), str(row.values.get("subject", "")))

    def _sample(self, row: DataRow, stem: str, options: Sequence[str], answer: object, subject: str) -> Sample:
        if not stem:
            raise row.error("the question is empty")
        return self.choice(row, stem, options, answer, subject=subject)

    def sample_id(self, row: DataRow) -> str:
        """Return the id; of all subjects with the subject in it, since each file counts its own rows."""
        made = super().sample_id(row)
        if self.variant is None and isinstance(row.values, list):
            return f"{made.rpartition('-')[0]}-{row.file.rsplit('_', 1)[0]}-{row.number:04d}"
        return made

    def shot(self, sample: Sample) -> Shot:
        """Return the question with its letter."""
        return Shot(sample.question, f"Answer: {sample.target}")
