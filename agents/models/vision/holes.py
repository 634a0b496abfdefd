"""Holes in pictures: squares at places that are drawn, and what plainly fills one: a mean colour, or the nearest known patch.

H x W pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def drawn_square(height: int, width: int, share: float, generator: torch.Generator) -> Tensor:
    """Return [H, W] bool, True in a square of a share of the area at a place that is drawn."""
    side = min(round((share * height * width) ** 0.5), height, width)
    top = int(torch.randint(height - side + 1, (1,), generator=generator))
    left = int(torch.randint(width - side + 1, (1,), generator=generator))
    found = torch.zeros(height, width, dtype=torch.bool)
    found[top : top + side, left : left + side] = True
    return found


def filled_with_mean(pixels: Tensor, hidden: Tensor) -> Tensor:
    """Return a picture [C, H, W] whose hidden pixels [H, W] have the mean colour of the others; grey where there are none."""
    if bool(hidden.all()):
        return torch.full_like(pixels, 0.5)
    return torch.where(hidden, pixels[:, ~hidden].mean(1)[:, None, None], pixels)


def filled_with_nearest(pixels: Tensor, hidden: Tensor, patch: int) -> Tensor:
    """Return a picture [C, H, W] whose hidden pixels are copied from the nearest patch that is wholly known, the first of equals.

    Args:
        pixels: whose sides are multiples of `patch`.
        hidden: [H, W] bool.
        patch: side of a patch, in pixels.
    """
    width = pixels.shape[2] // patch
    is_known = ~functional.max_pool2d(hidden[None, None].float(), patch).bool().flatten()
    if not bool(is_known.any()):
        return filled_with_mean(pixels, hidden)
    place = torch.arange(len(is_known))
    grid = torch.stack([place // width, place % width], 1).float()
    away = torch.cdist(grid, grid).masked_fill(~is_known, torch.inf)
    patches = functional.unfold(pixels[None], patch, stride=patch)[0]
    copied = functional.fold(patches[None, :, away.argmin(1)], pixels.shape[1:], patch, stride=patch)[0]
    return torch.where(hidden, copied, pixels)


def border_jump(pixels: Tensor, hidden: Tensor) -> float:
    """Return the mean difference of a picture [C, H, W] across the border of what was hidden [H, W]; 0 without a border."""
    across: list[Tensor] = []
    for axis in (1, 2):
        length = pixels.shape[axis]
        jump = (pixels.narrow(axis, 1, length - 1) - pixels.narrow(axis, 0, length - 1)).abs().mean(0)
        is_border = hidden.narrow(axis - 1, 1, length - 1) != hidden.narrow(axis - 1, 0, length - 1)
        across.append(jump[is_border])
    found = torch.cat(across)
    return float(found.mean()) if len(found) else 0.0


def fillings_of(
    pictures: Sequence[Tensor], place: int, hidden: Tensor, count: int, generator: torch.Generator
) -> tuple[Tensor, list[int]]:
    """Return completions [count, C, H, W] of one picture, and in their order which picture each filling is of.

    One is the picture itself; the others have in its hole what stands there in other pictures, which are drawn, as is the order.

    Args:
        pictures: [C, H, W] each, at least `count`.
        place: which of them it is.
        hidden: [H, W] bool.
        count: completions.
        generator: draws.
    """
    others = torch.randperm(len(pictures) - 1, generator=generator)[: count - 1].tolist()
    # All but the picture itself.
    sources = [place, *(other + (other >= place) for other in others)]
    ordered = [sources[each] for each in torch.randperm(count, generator=generator).tolist()]
    return torch.stack([torch.where(hidden, pictures[each], pictures[place]) for each in ordered]), ordered
