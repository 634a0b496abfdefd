"""How a segmenter fares: intersection over union of classes, and what is right about regions.

n pictures of H x W pixels, K classes, r regions of all pictures together.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.models.transkd.backend import pixel_beliefs, shares_of
from agents.models.transkd.model import Segmenter
from agents.models.vision.regions import REGIONS, right_of


@dataclass(frozen=True)
class Asked:
    """Regions that are asked about, by picture and name, and which class is right [r]."""

    pictures: tuple[int, ...]
    regions: tuple[str, ...]
    classes: Tensor


def confusion(said: Tensor, classes: Tensor, labels: int) -> Tensor:
    """Return how many pixels of each class [K, K] were said to be of each, of what was said and is [n, H, W].

    Pixels whose class is none of the first K are left out.
    """
    known = classes < labels
    return torch.bincount(classes[known] * labels + said[known], minlength=labels**2).view(labels, labels)


def mean_iou(counts: Tensor) -> float:
    """Return the mean over classes of intersection over union, in percent, of a confusion [K, K]; of no pixel none."""
    both = counts.diagonal().double()
    either = counts.sum(0) + counts.sum(1) - both
    return float(100 * (both / either)[either > 0].mean())


def iou_of(model: Segmenter, pictures: Tensor, classes: Tensor, labels: int) -> float:
    """Return the same of a model on pictures [n, 3, H, W] between 0 and 1, whose pixels' classes [n, H, W] are known."""
    beliefs = torch.cat([pixel_beliefs(model, each) for each in torch.split(pictures, 10)])
    return mean_iou(confusion(beliefs.argmax(1), classes, labels))


def asked_of(classes: Tensor, labels: int) -> Asked:
    """Return the plain regions of pictures whose pixels' classes [n, H, W] are known."""
    found = [
        (place, region, right)
        for place, each in enumerate(classes)
        for region in REGIONS
        if (right := right_of(each, region, labels)) is not None
    ]
    return Asked(
        tuple(place for place, _, _ in found),
        tuple(region for _, region, _ in found),
        torch.tensor([right for *_, right in found]),
    )


def region_scores(model: Segmenter, pictures: Tensor, asked: Asked) -> Tensor:
    """Return the logarithms [r, K] of how much of each region each class takes up, of pictures [n, 3, H, W]."""
    beliefs = [pixel_beliefs(model, each[None]) for each in pictures]
    return torch.cat(
        [shares_of(beliefs[place], region).log() for place, region in zip(asked.pictures, asked.regions, strict=True)]
    )
