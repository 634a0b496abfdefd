"""A page as a small picture: where its lines stand, over its own picture where there is one. H x W pixels."""

import torch
from torch.nn import functional

from agents.observation import Document, Image

SHEET = (3, 4)
"""Width and height of a page without a picture, whose size nobody tells."""
INK = (0.15, 0.35, 0.75)
SHARE = 0.4
"""How much of what lies under a box is its ink."""


def page_picture(page: Document, *, longest: int) -> Image:
    """Return a page's picture, or a white sheet, with its boxes tinted, each a pixel wide and high at least.

    Args:
        page: what was looked at.
        longest: pixels of the longer side, at most; of a sheet, exactly.
    """
    if page.image is None or page.image.is_empty:
        pixels = torch.ones(3, longest, max(longest * SHEET[0] // SHEET[1], 1))
    else:
        pixels = page.image.pixels.expand(3, -1, -1).clone()
        if (side := max(pixels.shape[1:])) > longest:
            size = [max(round(each * longest / side), 1) for each in pixels.shape[1:]]
            pixels = functional.interpolate(pixels[None], size=size, mode="area")[0]
    _, height, width = pixels.shape
    tinted = torch.zeros(height, width, dtype=torch.bool)
    for left, top, right, bottom in page.boxes.tolist():
        x, y = min(int(left * width), width - 1), min(int(top * height), height - 1)
        tinted[y : max(int(bottom * height), y + 1), x : max(int(right * width), x + 1)] = True
    ink = torch.tensor(INK)[:, None, None]
    return Image(torch.where(tinted, (1 - SHARE) * pixels + SHARE * ink, pixels).clamp(0, 1))
