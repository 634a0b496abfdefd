"""A picture as a model takes it: one size, cut in its middle, standardised."""

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

# A picture of which less is seen is blown up without bound; published models see 0.875 and more.
LEAST_CROP = 0.25


class Standard(Protocol):
    """By what the colours of pictures are standardised."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """What is taken off each colour."""

    @property
    def deviation(self) -> tuple[float, float, float]:
        """What each colour is then divided by."""


class PictureConfig(Standard, Protocol):
    """What a model of pictures says of those that it takes."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Its classes."""

    @property
    def sizes(self) -> dict[str, object]:
        """Its fields as JSON values."""

    @property
    def side(self) -> int:
        """Of the square that it takes, in pixels."""

    @property
    def crop(self) -> float:
        """How much of the shorter side the square is; the rest is cut off evenly."""


def prepared(pixels: Tensor, config: PictureConfig) -> Tensor:
    """Return pixels [1 or 3, H, W] between 0 and 1 as a model takes them, [3, side, side].

    The shorter side becomes side / crop (bicubic, antialiased), and the square is cut from the middle, as timm prepares
    pictures for evaluation; but numbers stay numbers, where Pillow rounds them to bytes after resizing.
    """
    picture = pixels.expand(3, -1, -1)
    height, width = picture.shape[1:]
    shorter = math.floor(config.side / config.crop)
    if min(height, width) != shorter:
        size = [side * shorter // min(height, width) for side in (height, width)]
        picture = functional.interpolate(picture[None], size=size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    top, left = (round((side - config.side) / 2.0) for side in picture.shape[1:])
    square = picture[:, top : top + config.side, left : left + config.side]
    return standardised(square, config)


def standardised(pictures: Tensor, config: Standard) -> Tensor:
    """Return (x − mean) / deviation of pictures [..., 3, H, W], colour by colour."""
    mean, deviation = (torch.tensor(each)[:, None, None] for each in (config.mean, config.deviation))
    return (pictures - mean) / deviation


def check_pixels(config: PictureConfig) -> str:
    """Return what is wrong with a config's picture; empty where nothing is."""
    if config.side < 1 or not LEAST_CROP <= config.crop <= 1:
        return f"side is at least 1 and crop {LEAST_CROP} to 1; got {config.side} and {config.crop}"
    if len(config.mean) != 3 or len(config.deviation) != 3 or min(config.deviation) <= 0:
        return f"mean and deviation have three numbers, the latter above 0; got {config.mean} and {config.deviation}"
    return ""
