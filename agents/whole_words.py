"""Where a word stands in a text by itself, and not within a longer word or number."""

import re
import unicodedata
from collections.abc import Iterator

_BEFORE = re.compile(r"\d[.,/]$|(?:^|[^\w)\]])[-−]$")
_AFTER = re.compile(r"[.,/]\d")


def whole_words(text: str, word: str) -> Iterator[int]:
    """Yield where each occurrence of a word ends that is no part of a longer one, from the last to the first.

    Letters, digits, underscores and marks that stand side by side are of one word, but wide ones (Chinese and its neighbours)
    stand alone, since no spaces part them. Of one number are digits with a point, a comma or a stroke between them, and a sign
    before them.
    """
    place = text.rfind(word) if word else -1
    while place >= 0:
        end = place + len(word)
        if not (_goes_on(text, place, word) or _ends_within(text, end, word)):
            yield end
        place = text.rfind(word, 0, end - 1)


def _goes_on(text: str, place: int, word: str) -> bool:
    """Whether what stands before a place is of one word or number with what begins there."""
    before = text[max(0, place - 2) : place]
    return _joins(before[-1:], word[0]) or (word[0].isdigit() and _BEFORE.search(before) is not None)


def _ends_within(text: str, end: int, word: str) -> bool:
    return _joins(word[-1], text[end : end + 1]) or (word[-1].isdigit() and _AFTER.match(text, end) is not None)


def _joins(before: str, after: str) -> bool:
    return _is_narrow(before) and _is_narrow(after)


def _is_narrow(one: str) -> bool:
    """Whether a character is one of a word's, and of a script with spaces between words."""
    if not one or unicodedata.east_asian_width(one) in "WF":
        return False
    return one.isalnum() or one == "_" or unicodedata.category(one)[0] == "M"
