"""BCCD: blood smears under a microscope, with a box around each cell (github Shenggan/BCCD_Dataset, MIT). Cytology: no tissue.

A slide is one picture of 640 x 480 pixels; whole slides are in one split, as the lists that come with them say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from agents.beliefs.picture_files import LARGEST_PICTURE, read_picture, size_as_stored
from agents.errors import ModelError
from agents.observation import Image
from agents.ordinary_file import read_ordinary_text
from agents.zip_files import ZipFiles, open_zip

RED, WHITE, PLATELET = LABELS = ("red cell", "white cell", "platelet")
NAMES = {"RBC": RED, "WBC": WHITE, "Platelets": PLATELET}
"""As the annotations call them."""
FOLDER = "bccd"
LISTS = {"test": "test.txt", "validation": "val.txt", "train": "train.txt"}
LARGEST_LIST, LARGEST_ANNOTATION = 1_000_000, 1_000_000
SMALLEST = 192
"""Pixels of a slide's shorter side; the widest window fits."""
LEAST = 8
"""Pixels of a box's side; smaller ones, some of them empty, are no cells."""

EDGES = ("xmin", "ymin", "xmax", "ymax")

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell: which it is, and its box: left, top, right, bottom in pixels."""

    label: str
    box: Box

    @property
    def middle(self) -> tuple[float, float]:
        """Across and down."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    def scaled(self, times: float) -> "Cell":
        """Return the same cell in a picture so many times as large."""
        left, top, right, bottom = (round(edge * times) for edge in self.box)
        return Cell(self.label, (left, top, right, bottom))


@dataclass(frozen=True, eq=False)
class Slide:
    """One picture and the cells in it."""

    name: str
    image: Image
    cells: tuple[Cell, ...]

    @property
    def has_platelets(self) -> bool:
        """Whether one of its cells is a platelet."""
        return any(cell.label == PLATELET for cell in self.cells)


def read_slides(data: Path | None, split: str) -> list[Slide]:
    """Return the slides of a split, in the order of its list, of a folder with images.zip, or with such a folder `bccd`.

    Raises:
        ModelError: it is not there, is damaged, or holds something else.
        ObservationError: a file that is no picture, or that its EXIF turns.
        MissingDependency: no Pillow.
    """
    places = [] if data is None else [data, data / FOLDER]
    folder = next((each for each in places if (each / "images.zip").is_file()), None)
    if folder is None:
        raise ModelError(
            "the slides are not there: give --data with images.zip, annotations.zip, train.txt, val.txt and test.txt of BCCD "
            "(github Shenggan/BCCD_Dataset: JPEGImages, Annotations, ImageSets/Main)"
        )
    names = _listed(folder, split)
    with open_zip(folder / "images.zip") as images, open_zip(folder / "annotations.zip") as annotations:
        images.names((".jpg",))
        annotations.names((".xml",))
        slides = [_slide(name, images, annotations, folder) for name in names]
    first = slides[0].image.pixels.shape
    if other := next((slide for slide in slides if slide.image.pixels.shape != first), None):
        raise ModelError(
            f"{folder / 'images.zip'}: slides are of one size; {slides[0].name} and {other.name} have {_size(first)} and "
            f"{_size(other.image.pixels.shape)} pixels"
        )
    if min(first[1:]) < SMALLEST:
        raise ModelError(
            f"{folder / 'images.zip'}: a slide has {SMALLEST} pixels a side or more; {slides[0].name} has {_size(first)}"
        )
    return slides


def _listed(folder: Path, split: str) -> list[str]:
    """Return the names of a split's slides; no slide is in two splits."""
    lists = {}
    for each, file in LISTS.items():
        try:
            lists[each] = read_ordinary_text(folder / file, most=LARGEST_LIST).split()
        except (OSError, ValueError) as error:
            raise ModelError(f"cannot read the list {folder / file}: {error}") from error
    own = lists.pop(split)
    seen = {name for names in lists.values() for name in names}
    if twice := [name for name in own if name in seen or own.count(name) > 1]:
        raise ModelError(f"{folder / LISTS[split]}: {twice[0]} is listed twice; a slide is in one split, once")
    if not own:
        raise ModelError(f"{folder / LISTS[split]}: it lists no slide")
    return own


def _slide(name: str, images: ZipFiles, annotations: ZipFiles, folder: Path) -> Slide:
    place = f"{folder / 'images.zip'}:{name}.jpg"
    blob = images.read(f"{name}.jpg", most=LARGEST_PICTURE)
    image = read_picture(blob, source=place)
    size = size_as_stored(blob, source=place)
    text = annotations.read(f"{name}.xml", most=LARGEST_ANNOTATION)
    cells = _cells(text, size, f"{folder / 'annotations.zip'}:{name}.xml")
    return Slide(name, image, tuple(cell.scaled(image.pixels.shape[2] / size[0]) for cell in cells))


def _cells(text: bytes, size: tuple[int, int], place: str) -> tuple[Cell, ...]:
    """Return the cells of an annotation in Pascal VOC's layout, of a picture of some width and height.

    Raises:
        ModelError: another layout, a cell of another name, or boxes that are none of this picture.
    """
    if b"<!" in text:
        # Entities can make much of little; annotations have none. Without them the parser does no harm.
        raise ModelError(f"{place}: it declares a document type or has comments; an annotation has elements alone")
    try:
        found = ElementTree.fromstring(text)  # noqa: S314
        cells = [_cell(each) for each in found.iter("object")]
        said = tuple(int(found.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    except (ElementTree.ParseError, KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"{place}: not an annotation of cells ({', '.join(NAMES)}) in boxes xmin, ymin, xmax, ymax: {error}"
        ) from error
    if all(said) and said != size:
        raise ModelError(
            f"{place}: its boxes are of a picture of {said[0]} x {said[1]} pixels, and the picture has {size[0]} x {size[1]}"
        )
    for cell in cells:
        left, top, right, bottom = cell.box
        across, down = cell.middle
        if left > right or top > bottom or not (0 <= across <= size[0] and 0 <= down <= size[1]):
            raise ModelError(
                f"{place}: a box is xmin, ymin, xmax, ymax in the picture's {size[0]} x {size[1]} pixels; got {cell.box}"
            )
    return tuple(cell for cell in cells if is_large(cell.box))


def _cell(element: ElementTree.Element) -> Cell:
    left, top, right, bottom = (int(element.findtext(f"bndbox/{edge}") or "") for edge in EDGES)
    return Cell(NAMES[element.findtext("name") or ""], (left, top, right, bottom))


def _size(shape: Sequence[int]) -> str:
    return f"{shape[2]} x {shape[1]}"


def is_large(box: Sequence[int]) -> bool:
    """Whether a box is at least so many pixels wide and high as a cell."""
    return min(box[2] - box[0], box[3] - box[1]) >= LEAST
