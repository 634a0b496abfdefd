"""Regions of a picture that words name: thirds of its height and width, and what is looked at in one.

H x W pixels.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from agents.errors import RequestError

THIRDS = 3
ALL = (0, THIRDS)
_ROWS = {"top": (0, 1), "middle": (1, 2), "bottom": (2, 3)}
_COLUMNS = {"left": (0, 1), "middle": (1, 2), "right": (2, 3)}

REGIONS: Mapping[str, tuple[tuple[int, int], tuple[int, int]]] = {
    **{
        "middle" if row == column else f"{row} {column}": (_ROWS[row], _COLUMNS[column])
        for row in _ROWS
        for column in _COLUMNS
    },
    "left": (ALL, _COLUMNS["left"]),
    "right": (ALL, _COLUMNS["right"]),
    "top": (_ROWS["top"], ALL),
    "bottom": (_ROWS["bottom"], ALL),
}
"""Name → first and last third of rows, and of columns: nine parts, and the outer thirds whole."""
UNLABELLED, AHEAD = 0.25, 0.1
"""Of a region's pixels: at most so many without a class, and at least so many more of the first class than of the second."""
_NAMED = re.compile(
    rf"\b(?:at|in|of|on) (?:its|the) ({'|'.join(sorted(REGIONS, key=len, reverse=True))})"
    r"(?= of (?:its|the) (?:image|picture|scene)\b|\s*(?:[^\w\s]|$))",
    re.IGNORECASE,
)
_LIKE = re.compile(
    r"\b(?:bottom|cent(?:er|re)|corner|left|lower|middle|right|top|upper)(?:most|-?hand)?\b", re.IGNORECASE
)


def region_of(text: str) -> str | None:
    """Return the region that a question is about, or None where it names none: then it is about the whole picture.

    It is named as in "What is at the left?", "Which takes up most of the top middle?", "What is in the bottom of the picture?".

    Raises:
        RequestError: it names two, or has such a word otherwise, so that what is meant is not known.
    """
    text = " ".join(text.split())
    found = {match[1].lower() for match in _NAMED.finditer(text)}
    if len(found) > 1:
        raise RequestError(f"a question is about one region; this names {', '.join(sorted(found))}: ask twice")
    if stray := _LIKE.search(_NAMED.sub("", text)):
        raise RequestError(
            f"which region {stray[0]!r} means is not known: write it as in 'What is at the left?', with one of "
            f"{', '.join(REGIONS)}; or, of the whole picture, leave the word out"
        )
    return next(iter(found), None)


def part_of(values: Tensor, region: str | None) -> Tensor:
    """Return the part [..., h, w] of values [..., H, W] that lies in a region; all of them where it is None.

    Raises:
        RequestError: no pixel lies in it.
    """
    if region is None:
        return values
    height, width = values.shape[-2:]
    (top, bottom), (left, right) = (
        [round(third * side / THIRDS) for third in thirds]
        for thirds, side in zip(REGIONS[region], (height, width), strict=True)
    )
    found = values[..., top:bottom, left:right]
    if not found.numel():
        raise RequestError(f"a picture of {width} x {height} pixels has none in its {region}; take a larger one")
    return found


def right_of(classes: Tensor, region: str, labels: int) -> int | None:
    """Return the class that takes up most of a region of a picture's classes [H, W]; None where that is not plain.

    It is plain where at most a quarter of the region has no class, and the first is a tenth of it ahead of the second.
    """
    within = part_of(classes, region)
    counts = torch.bincount(within.flatten(), minlength=labels + 1)
    second, first = counts[:labels].sort().values[-2:].tolist()
    if int(counts[labels:].sum()) > UNLABELLED * within.numel() or first - second < AHEAD * within.numel():
        return None
    return int(counts[:labels].argmax())
