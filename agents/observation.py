"""What a case shows besides its question: typed, checked when made, compared by identity.

L time steps or lines, N variates, C channels, H x W pixels, R rows, M columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.errors import ObservationError

if TYPE_CHECKING:
    # Imported where something is looked at: a question in words is asked and shown without it.
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Observation:
    """Something that can be looked at; `modality` is what backends and cards call its kind."""

    @property
    def modality(self) -> str:
        """The kind's name."""
        return type(self).__name__.lower()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it to form a belief from."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Text(Observation):
    """A text.

    Attributes:
        text: the text.
        language, script: that it is in, e.g. `rus` (ISO 639-3) and `CYRILLIC`, where that is known.
    """

    text: str
    language: str | None = None
    script: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it is white space."""
        return not self.text.strip()


@dataclass(frozen=True, eq=False)
class Image(Observation):
    """A picture: pixels [C, H, W] float32 in [0, 1], one or three channels."""

    pixels: "Tensor"

    def __post_init__(self) -> None:
        _check("an image", self.pixels, "[C, H, W]")
        if self.pixels.numel() and self.pixels.shape[0] not in (1, 3):
            raise ObservationError(f"an image has 1 or 3 channels; got {self.pixels.shape[0]}")
        if self.pixels.numel() and not 0 <= float(self.pixels.min()) <= float(self.pixels.max()) <= 1:
            raise ObservationError("an image's pixels lie between 0 and 1; divide bytes by 255")

    @property
    def is_empty(self) -> bool:
        """Whether it has no pixels."""
        return not self.pixels.numel()


@dataclass(frozen=True, eq=False)
class PartlyHidden(Image):
    """A picture of which a part is hidden, and which: hidden [H, W] bool. What stands there is nothing of the picture."""

    hidden: "Tensor"

    def __post_init__(self) -> None:
        super().__post_init__()
        shape, dtype = list(self.hidden.shape), str(self.hidden.dtype).removeprefix("torch.")
        if dtype != "bool" or shape != list(self.pixels.shape[1:]):
            raise ObservationError(
                f"what is hidden of a picture is [H, W] in bool, as the picture's {list(self.pixels.shape[1:])}; got {shape} in "
                f"{dtype}"
            )

    @property
    def modality(self) -> str:
        """The kind's name: that of a picture, which others look at as it is."""
        return "image"


@dataclass(frozen=True, eq=False)
class Audio(Observation):
    """Sound: samples [L] float32, one channel, and how many there are in a second."""

    samples: "Tensor"
    rate_hz: int

    def __post_init__(self) -> None:
        _check("audio", self.samples, "[L]")
        if self.rate_hz < 1:
            raise ObservationError(f"audio's rate_hz must be at least 1; got {self.rate_hz}")

    @property
    def is_empty(self) -> bool:
        """Whether it has no samples."""
        return not self.samples.numel()


@dataclass(frozen=True, eq=False)
class Series(Observation):
    """Several quantities over time.

    Attributes:
        values: [L, N] float32, oldest first.
        names: names of the quantities.
        marks: [L, C] float32, what the clock and the calendar say of each step, from -0.5 to 0.5, where that is known.
    """

    values: "Tensor"
    names: tuple[str, ...]
    marks: "Tensor | None" = None

    def __post_init__(self) -> None:
        _check("a series", self.values, "[L, N]")
        _named("a series", self.values.shape[1], self.names)
        if self.marks is not None:
            _check("a series' marks of time", self.marks, "[L, C]")
            if len(self.marks) != len(self.values):
                raise ObservationError(
                    f"a series has marks of each of its steps: {len(self.values)} steps and {len(self.marks)} rows of marks"
                )

    @property
    def is_empty(self) -> bool:
        """Whether it has no steps or no variates."""
        return not self.values.numel()


@dataclass(frozen=True, eq=False)
class Table(Observation):
    """Rows of numbers, some with a known label and the last without: what its label is, is the question.

    Attributes:
        values: [R, M] float32.
        names: names of the columns.
        labels: labels of every row but the last, in order.
    """

    values: "Tensor"
    names: tuple[str, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        _check("a table", self.values, "[R, M]")
        _named("a table", self.values.shape[1], self.names)
        if len(self.labels) != max(self.values.shape[0] - 1, 0):
            raise ObservationError(
                f"a table has a label for every row but the last: {self.values.shape[0]} rows and {len(self.labels)} labels"
            )

    @property
    def is_empty(self) -> bool:
        """Whether it asks nothing, or shows no labelled row."""
        return self.values.shape[0] < 2 or not self.values.shape[1]


@dataclass(frozen=True, eq=False)
class Document(Observation):
    """A page: pieces of text in any order, where each stands, and the page's picture if there is one.

    Attributes:
        lines: what was found as one piece, mostly a line.
        boxes: [L, 4] float32, left, top, right, bottom as shares of the page.
        image: picture of the page.
    """

    lines: tuple[str, ...]
    boxes: "Tensor"
    image: Image | None = None

    def __post_init__(self) -> None:
        _check("a document", self.boxes, "[L, 4]")
        if self.boxes.shape != (len(self.lines), 4):
            raise ObservationError(
                f"a document has one box of four numbers a line: {len(self.lines)} lines and boxes {list(self.boxes.shape)}"
            )
        inside = ((self.boxes >= 0) & (self.boxes <= 1)).all(1)
        wrong = ~(inside & (self.boxes[:, :2] <= self.boxes[:, 2:]).all(1))
        if bool(wrong.any()):
            place = int(wrong.nonzero()[0])
            raise ObservationError(
                "a document's boxes are left, top, right and bottom as shares of the page, from 0 to 1; box "
                f"{place} is {[round(each, 4) for each in self.boxes[place].tolist()]}"
            )

    @property
    def is_empty(self) -> bool:
        """Whether it has no text."""
        return not any(line.strip() for line in self.lines)


MODALITIES: dict[str, type[Observation]] = {
    kind.__name__.lower(): kind for kind in (Text, Image, Audio, Series, Table, Document)
}


def _check(what: str, values: "Tensor", form: str) -> None:
    import torch

    if values.ndim != len(form.split(",")) or values.dtype != torch.float32:
        dtype = str(values.dtype).removeprefix("torch.")
        raise ObservationError(f"{what} is {form} in float32; got {list(values.shape)} in {dtype}")
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        place = [int(i) for i in (~finite).nonzero()[0]]
        raise ObservationError(
            f"{what} has a number that is not finite, first at {place}; fill gaps or leave the case out"
        )


def _named(what: str, count: int, names: Sequence[str]) -> None:
    if len(names) != count:
        raise ObservationError(f"{what} has a name for each column: {count} columns and {len(names)} names")
