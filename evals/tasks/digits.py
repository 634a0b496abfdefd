"""Written digits: which one is it? (Alpaydin and Kaynak, 1998; the 1,797 pictures of 8 x 8 pixels that scikit-learn carries.)

The question tells nothing; the sample carries the picture, for agents that see. The splits are drawn once, the same in every run.
"""

from collections.abc import Sequence

import torch

from agents.models.vision.digits import LABELS, SPLITS, read_digits
from agents.observation import Image
from evals.sample import Loaded, Sample
from evals.scoring.digits import stated_digit
from evals.task import Task, TaskInfo


class Digits(Task):
    """One of ten digits."""

    name = "digits"
    info = TaskInfo(
        kind="choice",
        splits=SPLITS,
        source="UCI's digits by scikit-learn",
        licence="CC BY 4.0",
        scoring="equal digits",
        extra="digits",
    )

    def load(self, at_least: int | None = None) -> Loaded:
        """Return every picture of the split, in an order drawn from the seed."""
        pictures, classes = read_digits(self.split)
        order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(self.seed)).tolist()
        samples = tuple(
            Sample(
                id=f"digits-{self.split}-{place:04d}",
                question=f"Picture {number}: which digit is written?",
                target=LABELS[int(classes[place])],
                observations=(Image(pictures[place]),),
            )
            for number, place in enumerate(order, start=1)
        )
        return Loaded(samples, len(samples), source="scikit-learn")

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the ten digits."""
        return LABELS

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the digit after the last `Answer:`, also of a word; else the only one that is said."""
        found = stated_digit(response)
        return None if found is None else LABELS[found]
