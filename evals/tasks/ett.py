"""How much will the oil temperature of a transformer have changed in twelve hours? (ETTh1: Zhou et al., 2021, github ETDataset.)

Questions are thirteen hours apart, so that no two ask about the same hours, and all hours of the day are asked about. The
sample carries the last week of all seven series with the marks of their times, the question the last day of this one. Validation
and test are the months that forecasters do not learn from, and do not choose by, respectively.
"""

from collections.abc import Sequence

from agents.errors import ModelError, TaskError
from agents.models.forecasts.backend import BORDERS, LABELS
from agents.models.forecasts.ett import SPLITS, read_ett, read_marks
from agents.observation import Series
from evals.sample import Loaded, Sample
from evals.scoring.words import final_word, stated_word
from evals.task import Task, TaskInfo

VARIATE = "OT"
HOURS, APART, SHOWN = 12, 13, 7 * 24
_MEANING = (
    "plunge (by more than 2 degrees)",
    "fall (by at most 2)",
    "rise (or stay, or rise by less than 2)",
    "soar (by 2 or more)",
)
_WORDS = {label: (label,) for label in LABELS}


class ETT(Task):
    """One of four intervals of change."""

    name = "ett"
    info = TaskInfo(
        kind="choice",
        splits=("test", "validation"),
        source="ETDataset, ETTh1",
        licence="CC BY-ND 4.0",
        scoring="equal words",
        needs_data=True,
    )

    def load(self, at_least: int | None = None) -> Loaded:
        """Return every question of the split, in the order of time."""
        if self.data is None:
            raise TaskError("ett has no hub source: give a folder with ETTh1.csv or ETTh1.csv.gz with --data")
        try:
            (values, names), marks = read_ett(self.data), read_marks(self.data).float()
        except ModelError as error:
            raise TaskError(str(error)) from error
        if VARIATE not in names:
            raise TaskError(f"{self.data}: no series {VARIATE}; it has {', '.join(names)}")
        place = names.index(VARIATE)
        first, end = SPLITS[self.split]
        samples = []
        # What is asked for lies in the split; what is seen may lie before it, as it does for forecasters.
        for now in range(first - 1, end - HOURS, APART):
            shown = slice(now + 1 - SHOWN, now + 1)
            change = float(values[now + HOURS, place] - values[now, place])
            day = ", ".join(f"{value:.1f}" for value in values[now - 23 : now + 1, place].tolist())
            samples.append(
                Sample(
                    id=f"ett-{self.split}-{now:05d}",
                    question=f"The oil temperature of an electrical transformer in the last 24 hours, in degrees: {day}. "
                    f"In {HOURS} hours, compared with now, will it {', '.join(_MEANING[:-1])}, or {_MEANING[-1]}?",
                    target=LABELS[sum(border <= change for border in BORDERS)],
                    options=LABELS,
                    metadata={"change": change},
                    observations=(Series(values[shown].float(), names, marks[shown]),),
                )
            )
        return Loaded(tuple(samples), len(samples), source=str(self.data))

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the four words."""
        return LABELS

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the word that the response answers with."""
        return stated_word(response, _WORDS)

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the word of a response whose last line ends in `Answer: word`."""
        return final_word(response, _WORDS)
