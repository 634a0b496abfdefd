"""What a model sees of a tile while it teaches itself: crops of several sizes, turned and recoloured, and what is hidden.

n slides, B tiles, H side of a view.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.pluto.tiles import scaled

TILE = 64
"""Side of what views are cut from, in pixels."""
GREY = 0.2
"""How often a view has no colour."""


@dataclass(frozen=True)
class Crop:
    """Views of a kind.

    Attributes:
        side: of the square, in pixels.
        least, most: share of the tile's side that is seen.
    """

    side: int
    least: float
    most: float


def drawn_tiles(slides: Tensor, windows: tuple[int, ...], count: int, generator: torch.Generator) -> Tensor:
    """Return so many tiles [B, 3, 64, 64] of slides [n, 3, H, W], as floats, each of a magnification drawn from `windows`.

    Args:
        slides: bytes.
        windows: sides in pixels of the squares that become tiles: large ones are seen from further away.
        count: B.
        generator: draws slide, window and place.
    """
    found = []
    height, width = slides.shape[2:]
    for _ in range(count):
        window = windows[int(torch.randint(len(windows), (1,), generator=generator))]
        which = int(torch.randint(len(slides), (1,), generator=generator))
        top = int(torch.randint(height - window + 1, (1,), generator=generator))
        left = int(torch.randint(width - window + 1, (1,), generator=generator))
        found.append(scaled(slides[which : which + 1, :, top : top + window, left : left + window].float() / 255, TILE))
    return torch.cat(found)


def view(tiles: Tensor, crop: Crop, generator: torch.Generator) -> Tensor:
    """Return one view [B, 3, H, H] of each tile: a square at a drawn place, turned, perhaps mirrored, and recoloured."""
    count = len(tiles)
    share = crop.least + (crop.most - crop.least) * torch.rand(count, generator=generator)
    middle = (1 - share)[:, None] * (2 * torch.rand(count, 2, generator=generator) - 1)
    angle = torch.randint(4, (count,), generator=generator) * (math.pi / 2)
    mirrored = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    cosine, sine = share * angle.cos(), share * angle.sin()
    across = torch.stack([cosine * mirrored, -sine, middle[:, 0]], 1)
    down = torch.stack([sine * mirrored, cosine, middle[:, 1]], 1)
    grid = functional.affine_grid(torch.stack([across, down], 1), [count, 3, crop.side, crop.side], align_corners=False)
    found = functional.grid_sample(tiles, grid, padding_mode="border", align_corners=False)
    return recoloured(found, generator)


def recoloured(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Return pictures [B, 3, H, W] each with other brightness, contrast and stain, some of them without colour."""
    count = len(pictures)
    gain = 1 + 0.3 * (2 * torch.rand(count, 1, 1, 1, generator=generator) - 1)
    stain = 1 + 0.1 * (2 * torch.rand(count, 3, 1, 1, generator=generator) - 1)
    shift = 0.1 * (2 * torch.rand(count, 1, 1, 1, generator=generator) - 1)
    mean = pictures.mean((2, 3), keepdim=True)
    found = ((pictures - mean) * gain + mean * stain + shift).clamp(0, 1)
    is_grey = torch.rand(count, 1, 1, 1, generator=generator) < GREY
    return torch.where(is_grey, found.mean(1, keepdim=True), found)


def hidden_blocks(count: int, grid: int, least: float, most: float, generator: torch.Generator) -> Tensor:
    """Return which patches are hidden [B, grid²], bool: a rectangle in one of two pictures, none in the others.

    A block is of whole patches, so that what is hidden grows with the patch, as the paper's masks do.

    Args:
        count: B.
        grid: patches in a row.
        least, most: share of the patches that a rectangle has.
        generator: draws which pictures, how large, how wide and where.
    """
    found = torch.zeros(count, grid, grid, dtype=torch.bool)
    for place in range(0, count, 2):
        share = least + (most - least) * float(torch.rand((), generator=generator))
        stretch = math.exp(math.log(2) * (2 * float(torch.rand((), generator=generator)) - 1))
        height = min(max(round(grid * math.sqrt(share * stretch)), 1), grid)
        width = min(max(round(grid * math.sqrt(share / stretch)), 1), grid)
        top = int(torch.randint(grid - height + 1, (1,), generator=generator))
        left = int(torch.randint(grid - width + 1, (1,), generator=generator))
        found[place, top : top + height, left : left + width] = True
    return found.flatten(1)


def kept_patches(count: int, patches: int, share: float, generator: torch.Generator) -> Tensor:
    """Return the places of the patches that are looked at [B, M], M = share of them and at least one, in a drawn order."""
    order = torch.rand(count, patches, generator=generator).argsort(1)
    return order[:, : max(int(patches * share), 1)]
