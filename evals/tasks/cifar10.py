"""CIFAR-10: which of ten things is in a picture of 32 x 32 pixels? (Krizhevsky, 2009.)

The question tells the ten words and nothing of the picture, which the sample carries, for agents that see. Variants harm it:
`cifar10:noise-0.2` adds normal noise of that deviation, of a range from 0 to 1, `cifar10:hidden-0.5` makes a square of half
of its area grey, at a place that is drawn. What is drawn for a picture depends on (seed, picture, variant) alone.
"""

import re
from collections.abc import Mapping, Sequence

import torch

from agents.errors import ModelError, ObservationError, TaskError
from agents.models.seeded import generator_of
from agents.models.vision.cifar10 import CLASSES, read_cifar10
from agents.models.vision.holes import drawn_square
from agents.observation import Image, PartlyHidden
from evals.sample import Loaded, Sample
from evals.scoring.text import said
from evals.task import Task, TaskInfo

NOISE, HIDDEN = "noise", "hidden"
VARIANTS = ("noise-0.1", "noise-0.2", "noise-0.4", "hidden-0.25", "hidden-0.5")
GREY = 0.5
_WORD = re.compile(r"[a-z]+")
_ALSO = {"plane": "airplane", "aeroplane": "airplane", "car": "automobile"}


class CIFAR10(Task):
    """One of ten words."""

    name = "cifar10"
    info = TaskInfo(
        kind="choice",
        splits=("test", "train"),
        source="CIFAR-10 as picture files",
        licence="none stated",
        scoring="equal words",
        needs_data=True,
        extra="pictures",
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the kinds and amounts of harm."""
        return VARIANTS

    def load(self, at_least: int | None = None) -> Loaded:
        """Return every picture of the split, in an order drawn from the seed."""
        if self.data is None:
            raise TaskError("cifar10 has no hub source: give a folder with train.zip and test.zip with --data")
        try:
            pictures = read_cifar10(self.data, self.split)
        except (ModelError, ObservationError) as error:
            raise TaskError(str(error)) from error
        samples: list[Sample] = []
        for place in torch.randperm(len(pictures), generator=torch.Generator().manual_seed(self.seed)).tolist():
            picture = pictures[place]
            image = (
                picture.image
                if self.variant is None
                else harmed(picture.image, self.variant, self._drawn(picture.name))
            )
            samples.append(
                Sample(
                    id=f"cifar10-{self.split}-{picture.name.replace('/', '-')}",
                    question=f"Picture {len(samples) + 1}: which of these is in it? {', '.join(CLASSES)}",
                    target=picture.label,
                    metadata={"image": picture.name, "harm": self.variant},
                    observations=(image,),
                )
            )
        return Loaded(tuple(samples), len(pictures), source=str(self.data))

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the ten words."""
        return CLASSES

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the first of the ten words after the last `Answer:`; else the only one that is said."""
        return word_of(response, CLASSES, _ALSO)

    def _drawn(self, name: str) -> torch.Generator:
        return generator_of(f"{self.seed}|{name}|{self.variant}")


def word_of(response: str, words: Sequence[str], also: Mapping[str, str]) -> str | None:
    """Return the first of some words after the last `Answer:` of a response; else the only one that is said.

    Args:
        response: the response.
        words: in lower case.
        also: what else one may be called → it.
    """
    _, cue, after = said(response).lower().rpartition("answer:")
    found: list[str] = [word for each in _WORD.findall(after) if (word := also.get(each, each)) in words]
    if cue and found:
        return found[0]
    return found[0] if len(set(found)) == 1 else None


def harmed(image: Image, variant: str, generator: torch.Generator) -> Image:
    """Return a picture with noise, or with a part of it hidden, and which, as a variant says."""
    kind, _, amount = variant.partition("-")
    pixels = image.pixels
    if kind == NOISE:
        noise = float(amount) * torch.randn(pixels.shape, generator=generator)
        return Image((pixels + noise).clamp(0, 1))
    height, width = pixels.shape[1:]
    hidden = drawn_square(height, width, float(amount), generator)
    return PartlyHidden(pixels.masked_fill(hidden, GREY), hidden)
