"""Which of four completions of a picture is the true one? CIFAR-10's pictures, of which a square was hidden (Krizhevsky, 2009).

One completion is what stood there; the three others have in its place what stands there in other pictures of the split. The
four stand side by side in the sample's picture, A on the left, and what was hidden is marked in each. `completions` hides a
quarter of the area, `completions:hidden-0.5` half. What is drawn for a picture depends on (seed, picture, variant) alone.
"""

from collections.abc import Sequence

import torch

from agents.errors import ModelError, ObservationError, TaskError
from agents.models.seeded import generator_of
from agents.models.vision.cifar10 import SIDE, read_cifar10
from agents.models.vision.holes import drawn_square, fillings_of
from agents.observation import PartlyHidden
from evals.sample import Loaded, Sample
from evals.scoring.options import final_option, stated_option
from evals.task import Task, TaskInfo

LETTERS = "ABCD"
SHARE = 0.25
VARIANTS = ("hidden-0.5",)


class Completions(Task):
    """One of four letters."""

    name = "completions"
    info = TaskInfo(
        kind="choice",
        splits=("test", "train"),
        source="CIFAR-10 as picture files",
        licence="none stated",
        scoring="equal letters",
        needs_data=True,
        extra="pictures",
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return other shares that are hidden."""
        return VARIANTS

    def load(self, at_least: int | None = None) -> Loaded:
        """Return a question about every picture of the split, in an order drawn from the seed."""
        if self.data is None:
            raise TaskError("completions has no hub source: give a folder with train.zip and test.zip with --data")
        try:
            pictures = read_cifar10(self.data, self.split)
        except (ModelError, ObservationError) as error:
            raise TaskError(str(error)) from error
        if len(pictures) < len(LETTERS):
            raise TaskError(f"{self.data}: {len(pictures)} pictures; completions are made of {len(LETTERS)} at least")
        share = SHARE if self.variant is None else float(self.variant.partition("-")[2])
        pixels = [each.image.pixels.expand(3, -1, -1) for each in pictures]
        samples: list[Sample] = []
        for place in torch.randperm(len(pictures), generator=torch.Generator().manual_seed(self.seed)).tolist():
            generator = generator_of(f"completions|{self.seed}|{pictures[place].name}|{self.variant}")
            hidden = drawn_square(SIDE, SIDE, share, generator)
            panels, sources = fillings_of(pixels, place, hidden, len(LETTERS), generator)
            samples.append(
                Sample(
                    id=f"completions-{self.split}-{pictures[place].name.replace('/', '-')}",
                    question=f"Picture {len(samples) + 1}, of which a part was hidden, stands here with four fillings side by "
                    "side. Which is the true one: A, B, C or D, from the left?",
                    target=LETTERS[sources.index(place)],
                    metadata={"image": pictures[place].name, "fillings": [pictures[each].name for each in sources]},
                    observations=(PartlyHidden(torch.cat(list(panels), 2), hidden.repeat(1, len(LETTERS))),),
                )
            )
        return Loaded(tuple(samples), len(pictures), source=str(self.data))

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the four letters."""
        return tuple(LETTERS)

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the letter that a response states."""
        return stated_option(response, LETTERS, options)

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the letter of a response that ends in `Answer: X` or `The answer is (X)`."""
        return final_option(response, LETTERS)
