"""Marks that hold a message's place while text is rendered around it, by a prompt file or a chat template."""

import re

from agents.errors import PromptError

# Private-use characters: no ordinary text has them.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


def mark(index: int) -> str:
    """Return the mark of slot number `index`."""
    return f"{_OPEN}{index}{_CLOSE}"


def checked(text: str) -> str:
    """Return the text, which must not hold a mark of its own.

    Raises:
        PromptError: it does.
    """
    if _OPEN in text or _CLOSE in text:
        raise PromptError("a prompt may not hold the characters U+E000 and U+E001, which mark its slots")
    return text


def split(text: str) -> list[str | int]:
    """Return the text between the marks and the numbers of the slots, in order; no empty text."""
    pieces = _MARK.split(text)
    found: list[str | int] = [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)]
    return [piece for piece in found if piece != ""]
