"""A digit that a response states, as a word or as a numeral."""

import re

from agents.models.sounds.spoken_digits import DIGITS
from evals.scoring.text import said

_WORD = re.compile(r"[a-z]+|\d+")


def stated_digit(response: str) -> int | None:
    """Return the digit after the last `Answer:`; else the only one that is said."""
    _, cue, after = said(response).lower().rpartition("answer:")
    words = [word for word in _WORD.findall(after) if word in DIGITS or (word.isdigit() and len(word) == 1)]
    found = [int(word) if word.isdigit() else DIGITS.index(word) for word in words]
    if cue and found:
        return found[0]
    return found[0] if len(set(found)) == 1 else None


def stated_digits(response: str) -> list[int]:
    """Return the digits after the last `Answer:`, as words or numerals; without it all that are said. "552" is three digits."""
    _, _, after = said(response).lower().rpartition("answer:")
    found: list[int] = []
    for word in _WORD.findall(after):
        if word in DIGITS:
            found.append(DIGITS.index(word))
        elif word.isascii() and word.isdigit():
            found += [int(each) for each in word]
    return found
