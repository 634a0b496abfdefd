"""Pictures of receipts: what of a scan lies within the rectangle that its lines take up. H x W pixels."""

import io
import zipfile
from pathlib import Path, PurePosixPath

from agents.beliefs.picture_files import EXTRA, LARGEST_PICTURE, read_picture
from agents.errors import MissingDependency, ModelError
from agents.models.documents.receipts import Receipt
from agents.models.vision.cifar10 import DAMAGED, SUFFIXES
from agents.observation import Image


def picture_names(path: Path) -> dict[str, str]:
    """Return receipt → its picture's name in an archive, img/NAME.jpg or .png; none of receipts that have none.

    Raises:
        ModelError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry.filename for entry in archive.infolist()]
    except DAMAGED as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    inside = [(PurePosixPath(name), name) for name in names]
    return {at.stem: name for at, name in inside if at.parent.name == "img" and at.suffix.lower() in SUFFIXES}


def read_page(path: Path, name: str, receipt: Receipt) -> Image:
    """Return the picture of a receipt, cut to the rectangle of its lines, whose boxes are then shares of it.

    Raises:
        ModelError: it is damaged, too large, or the lines do not lie on it.
        ObservationError: it is no picture.
        MissingDependency: no Pillow.
    """
    place = f"{path}:{name[:80]!r}"
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(name)
            if entry.file_size > LARGEST_PICTURE:
                raise ModelError(f"{place}: it has {entry.file_size:,} bytes, and {LARGEST_PICTURE:,} are allowed")
            blob = archive.read(entry)
    except (*DAMAGED, KeyError) as error:
        raise ModelError(f"cannot read {place}: {error}") from error
    picture = read_picture(blob, source=place)
    try:
        from PIL import Image as Pillow
    except ModuleNotFoundError as error:
        raise MissingDependency(f"reading {place}", "pillow", EXTRA) from error
    with Pillow.open(io.BytesIO(blob)) as file:
        wide = file.size[0]
    _, height, width = picture.pixels.shape
    left, top, right, bottom = (round(edge * width / wide) for edge in receipt.edges)
    if not (0 <= left < right <= width + 1 and 0 <= top < bottom <= height + 1):
        raise ModelError(
            f"{place}: its lines take up {receipt.edges} pixels, and the picture is {wide} wide, so that they do not lie on it; "
            "boxes are of the picture as it is stored"
        )
    return Image(picture.pixels[:, top:bottom, left:right].clone())
