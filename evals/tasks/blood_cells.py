"""Blood cells under a microscope: which cell is in the middle of a picture, or has a whole smear platelets? (BCCD.)

The question tells the answers and nothing of the picture, which the sample carries, for agents that see. Of each kind of cell
there are as many questions. `blood_cells:slide` asks about whole smears. `noise-0.1` and the like add noise of that deviation, of
a range from 0 to 1, and `grey` takes the colour away, by which white cells are easily told; what is drawn depends on (seed,
picture, variant) alone. Cytology, not histology, and not for clinical use.
"""

import re
from collections.abc import Sequence

import torch

from agents.errors import ModelError, ObservationError, TaskError
from agents.models.fusion.config import NOT_CLINICAL
from agents.models.pluto.bccd import LABELS, PLATELET, RED, WHITE, Slide, read_slides
from agents.models.pluto.config import PLUTOConfig
from agents.models.pluto.tiles import cut, grey, window_around
from agents.models.seeded import generator_of
from agents.observation import Image
from evals.sample import Loaded, Sample
from evals.scoring.text import said
from evals.task import Task, TaskInfo
from evals.tasks.cifar10 import NOISE, harmed

SLIDE, GREY = "slide", "grey"
VARIANTS = ("noise-0.05", "noise-0.1", "noise-0.2", GREY, SLIDE, "slide-noise-0.05", "slide-noise-0.1", "slide-grey")
ANSWERS = YES, NO = ("yes", "no")
WINDOW = PLUTOConfig(LABELS).window
_ALSO = {"red": RED, "white": WHITE, "platelet": PLATELET, "platelets": PLATELET, "rbc": RED, "wbc": WHITE,
         "erythrocyte": RED, "leukocyte": WHITE, "thrombocyte": PLATELET, "yes": YES, "no": NO}  # fmt: skip
_WORD = re.compile(r"[a-z]+")


class BloodCells(Task):
    """One of three kinds of cells; or yes or no, of a whole smear."""

    name = "blood_cells"
    info = TaskInfo(
        kind="choice",
        splits=("test", "validation", "train"),
        source="BCCD by Shenggan/BCCD_Dataset",
        licence="MIT",
        scoring="equal words",
        needs_data=True,
        extra="pictures",
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return what is asked about, and the kinds and amounts of harm."""
        return VARIANTS

    @property
    def is_slide(self) -> bool:
        """Whether whole smears are asked about."""
        return (self.variant or "").partition("-")[0] == SLIDE

    @property
    def harm(self) -> str:
        """What is done to pictures; empty where nothing is."""
        variant = self.variant or ""
        return variant.removeprefix(SLIDE).removeprefix("-") if self.is_slide else variant

    def load(self, at_least: int | None = None) -> Loaded:
        """Return the questions of the split, in an order drawn from the seed."""
        if self.data is None:
            raise TaskError(
                "blood_cells has no hub source: give a folder with BCCD's images.zip, annotations.zip and lists with --data"
            )
        try:
            slides = read_slides(self.data, self.split)
        except (ModelError, ObservationError) as error:
            raise TaskError(str(error)) from error
        asked = self._slides(slides) if self.is_slide else self._cells(slides)
        order = torch.randperm(len(asked), generator=torch.Generator().manual_seed(self.seed)).tolist()
        samples = tuple(self._sample(number, *asked[place]) for number, place in enumerate(order, start=1))
        return Loaded(samples, len(samples), source=str(self.data))

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the kinds of cells, or yes and no."""
        return ANSWERS if self.is_slide else LABELS

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the first of the answers after the last `Answer:`; else the only one that is said."""
        known = ANSWERS if self.is_slide else LABELS
        _, cue, after = said(response).lower().rpartition("answer:")
        found = [_ALSO[word] for word in _WORD.findall(after) if _ALSO.get(word) in known]
        if cue and found:
            return found[0]
        return found[0] if len(set(found)) == 1 else None

    def _slides(self, slides: Sequence[Slide]) -> list[tuple[str, Image, str]]:
        """Return name, picture and answer of each smear."""
        return [(slide.name, slide.image, YES if slide.has_platelets else NO) for slide in slides]

    def _cells(self, slides: Sequence[Slide]) -> list[tuple[str, Image, str]]:
        """Return name, picture and answer of cells, of each kind as many as of the rarest, drawn from the seed."""
        by_kind: dict[str, list[tuple[str, Image, str]]] = {label: [] for label in LABELS}
        for slide in slides:
            pixels = slide.image.pixels
            for number, cell in enumerate(slide.cells):
                window = cut(pixels, *window_around(cell, pixels.shape, WINDOW), WINDOW)
                by_kind[cell.label].append((f"{slide.name}-{number:02d}", Image(window), cell.label))
        if missing := [label for label, cells in by_kind.items() if not cells]:
            raise TaskError(
                f"{self.data}: the split {self.split} has no {missing[0]}; give slides with cells of each kind"
            )
        count = min(map(len, by_kind.values()))
        drawn = torch.Generator().manual_seed(self.seed)
        return [
            cells[place] for cells in by_kind.values() for place in torch.randperm(len(cells), generator=drawn)[:count]
        ]

    def _sample(self, number: int, name: str, image: Image, target: str) -> Sample:
        asked = (
            "has this blood smear platelets? yes or no"
            if self.is_slide
            else f"which cell is in its middle? {', '.join(LABELS)}"
        )
        return Sample(
            id=f"blood-cells-{self.split}-{name}",
            question=f"Picture {number}: {asked}. {NOT_CLINICAL}",
            target=target,
            metadata={"image": name, "harm": self.harm or None},
            observations=(self._harmed(name, image),),
        )

    def _harmed(self, name: str, image: Image) -> Image:
        if self.harm == GREY:
            return Image(grey(image.pixels).contiguous())
        if self.harm.startswith(NOISE):
            return harmed(image, self.harm, generator_of(f"{self.seed}|{name}|{self.harm}"))
        return image
