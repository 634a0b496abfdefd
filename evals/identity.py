"""What tells one question from another: its words, and what it shows besides them. One rule wherever questions are compared."""

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

from agents.observation import Observation, Text


class Asked(Protocol):
    """A question with what it shows: a sample, or a worked example."""

    @property
    def question(self) -> str:
        """The words."""

    @property
    def observations(self) -> Sequence[Observation]:
        """What it shows besides them; () of a question in words."""


def plain(question: str) -> str:
    """Return a question with single spaces, so that the same one in another layout is equal."""
    return " ".join(question.split())


def identity(asked: Asked) -> str:
    """Return what tells a question from others: its words, spacing aside, and below them a digest of what it shows.

    A question in words alone is its words. The same words about another picture or sound are another question.
    """
    shown = observed_digest(asked)
    return f"{plain(asked.question)}\n{shown}" if shown else plain(asked.question)


def observed_digest(asked: Asked) -> str:
    """Return the SHA-256 of what a question shows besides its words, 64 hexadecimal digits; empty where that is nothing.

    It is of the values as they are kept, the pixels of a picture and the samples of a sound, and not of a file or its name. A
    text that stands in the words themselves adds nothing to them.
    """
    words = plain(asked.question)
    beyond = [each for each in asked.observations if not (isinstance(each, Text) and plain(each.text) in words)]
    if not beyond:
        return ""
    found = hashlib.sha256()
    for each in beyond:
        _add(found, each)
    return found.hexdigest()


def _add(found: Any, value: Any) -> None:
    """Add a value to a hash, with its kind and length before it, so that no two values are added alike."""
    if isinstance(value, Observation):
        _add(found, (value.modality, *(each for pair in sorted(vars(value).items()) for each in pair)))
    elif isinstance(value, tuple | list):
        found.update(f"values:{len(value)};".encode())
        for each in value:
            _add(found, each)
    elif hasattr(value, "numpy"):
        # A tensor; torch itself is not needed here.
        found.update(f"tensor:{value.dtype}{list(value.shape)};".encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    else:
        text = repr(value).encode("utf-8", "backslashreplace")
        found.update(f"{type(value).__name__}:{len(text)};".encode() + text)
