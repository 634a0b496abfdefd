"""Pictures of receipts: what of a scan lies within the rectangle that its lines take up. H x W pixels."""

from pathlib import Path, PurePosixPath

from agents.beliefs.picture_files import LARGEST_PICTURE, read_picture, size_as_stored
from agents.errors import ModelError
from agents.models.documents.receipts import Receipt
from agents.models.vision.cifar10 import SUFFIXES
from agents.observation import Image
from agents.zip_files import LARGEST, open_zip


def picture_names(path: Path) -> dict[str, str]:
    """Return receipt → its picture's name in an archive, img/NAME.jpg or .png; none of receipts that have none.

    Raises:
        ModelError: it is damaged.
    """
    with open_zip(path) as archive:
        names = archive.names(SUFFIXES, most=LARGEST)
    inside = [(PurePosixPath(name), name) for name in names]
    return {at.stem: name for at, name in inside if at.parent.name == "img"}


def read_page(path: Path, name: str, receipt: Receipt) -> Image:
    """Return the picture of a receipt, cut to the rectangle of its lines, whose boxes are then shares of it.

    Raises:
        ModelError: it is damaged, too large, or the lines do not lie on it.
        ObservationError: it is no picture, or its EXIF turns it.
        MissingDependency: no Pillow.
    """
    place = f"{path}:{name[:80]!r}"
    with open_zip(path) as archive:
        blob = archive.read(name, most=LARGEST_PICTURE)
    picture = read_picture(blob, source=place)
    wide, _ = size_as_stored(blob, source=place)
    _, height, width = picture.pixels.shape
    left, top, right, bottom = (round(edge * width / wide) for edge in receipt.edges)
    if not (0 <= left < right <= width + 1 and 0 <= top < bottom <= height + 1):
        raise ModelError(
            f"{place}: its lines take up {receipt.edges} pixels, and the picture is {wide} wide, so that they do not lie on it; "
            "boxes are of the picture as it is stored"
        )
    return Image(picture.pixels[:, top:bottom, left:right].clone())
