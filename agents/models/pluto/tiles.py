"""Tiles of slides: windows around cells or on a grid, scaled to the side that a model sees.

H x W pixels of a slide, S side of a tile, w of the window that becomes one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.pluto.bccd import LABELS, Cell, Slide


def window_around(cell: Cell, shape: Sequence[int], window: int) -> tuple[int, int]:
    """Return left and top of the window around a cell's middle, moved so far that it lies in a slide of shape [3, H, W]."""
    across, down = cell.middle
    left = min(max(round(across - window / 2), 0), shape[2] - window)
    return left, min(max(round(down - window / 2), 0), shape[1] - window)


def cut(pixels: Tensor, left: int, top: int, window: int) -> Tensor:
    """Return the window [3, w, w] of a slide [3, H, W]."""
    return pixels[:, top : top + window, left : left + window]


def scaled(windows: Tensor, side: int) -> Tensor:
    """Return tiles [n, 3, S, S] of windows [n, 3, w, w], as `prepared` scales a picture."""
    if windows.shape[-1] == side:
        return windows
    found: Tensor = functional.interpolate(windows, size=(side, side), mode="bicubic", antialias=True)
    return found.clamp(0, 1)


def places(length: int, window: int) -> list[int]:
    """Return where windows begin that cover a length, as few as can be, evenly spaced; one, at 0, of a length that is shorter."""
    count = max(-(-length // window), 1)
    return [round(step * (length - window) / max(count - 1, 1)) for step in range(count)] if count > 1 else [0]


def grid_tiles(pixels: Tensor, window: int, side: int) -> Tensor:
    """Return the tiles [T, 3, S, S] that cover a slide [1 or 3, H, W], row by row; a slide smaller than a window is enlarged."""
    pixels = pixels.expand(3, -1, -1)
    height, width = pixels.shape[1:]
    if min(height, width) < window:
        size = [-(-edge * window // min(height, width)) for edge in (height, width)]
        pixels = functional.interpolate(pixels[None], size=size, mode="bilinear")[0]
        height, width = size
    windows = [cut(pixels, left, top, window) for top in places(height, window) for left in places(width, window)]
    return scaled(torch.stack(windows), side)


def cell_tiles(
    slides: Sequence[Slide], window: int, side: int, *, most: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return tiles around cells [n, 3, S, S] and which they are [n]: of each label so many at most, drawn."""
    known = [(slide, cell) for slide in slides for cell in slide.cells]
    classes = torch.tensor([LABELS.index(cell.label) for _, cell in known])
    order = torch.randperm(len(known), generator=generator)
    chosen = torch.cat([order[classes[order] == place][:most] for place in range(len(LABELS))])
    windows = []
    for slide, cell in (known[number] for number in chosen.tolist()):
        pixels = slide.image.pixels
        windows.append(cut(pixels, *window_around(cell, pixels.shape, window), window))
    return scaled(torch.stack(windows), side), classes[chosen]


def grey(pictures: Tensor) -> Tensor:
    """Return pictures [..., 3, H, W] without colour: in each channel the mean of the three."""
    return pictures.mean(-3, keepdim=True).expand_as(pictures)


def colour_shares(tiles: Tensor, bins: int = 16) -> Tensor:
    """Return the histogram of each colour [n, 3 bins], as shares of the pixels of tiles [n, 3, S, S] between 0 and 1."""
    found = (tiles.clamp(0, 1) * bins).long().clamp_max(bins - 1).flatten(2)
    return torch.nn.functional.one_hot(found, bins).float().mean(2).flatten(1)
