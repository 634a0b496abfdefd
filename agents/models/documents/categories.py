"""Categories of a page's lines, by a rule of what they say and where: our stand-in for PubLayNet's five, which receipts lack."""

import re
from collections.abc import Sequence

from torch import Tensor

CATEGORIES = ("number", "pair", "head", "body", "foot")
_NUMBER = re.compile(r"(?:rm|myr|\$|[a-z]{2})?\s*[-(]?[\d.,:/%()x\s-]+[a-z]{0,3}", re.IGNORECASE)
_PAIR = re.compile(r"[a-z].*(?::|[\s$:]-?\d[\d,]*\.\d{2}\)?\s*[a-z]?$)", re.IGNORECASE)


def categories_of(lines: Sequence[str], boxes: Tensor) -> tuple[int, ...]:
    """Return the category of each line: a number alone; words with a value or a colon; other words by the third of the page.

    Args:
        lines: N.
        boxes: [N, 4], shares of the page.
    """
    middle = ((boxes[:, 1] + boxes[:, 3]) / 2).tolist()
    found = []
    for line, height in zip(lines, middle, strict=True):
        if _NUMBER.fullmatch(line.strip()):
            found.append(0)
        elif _PAIR.search(line):
            found.append(1)
        else:
            found.append(2 + min(int(3 * height), 2))
    return tuple(found)
