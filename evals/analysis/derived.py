"""What is made of results once they are on disk: pictures, pages, tables. A failure there is a warning, and nothing is lost."""

import contextlib
import warnings
from collections.abc import Callable, Iterator

from agents.errors import DebateError

Warn = Callable[[str], None]


def warn_user(sentence: str) -> None:
    """Warn as Python does."""
    warnings.warn(sentence, stacklevel=3)


@contextlib.contextmanager
def derived(what: str, warn: Warn) -> Iterator[None]:
    """Make something of results in the block; whatever fails there is told in a sentence, and the program goes on.

    Args:
        what: it is, at the start of the sentence.
        warn: called with the sentence.
    """
    try:
        yield
    except Exception as error:
        warn(f"{what}: not made ({reason(error)}). Results and transcripts are on disk.")


def reason(error: Exception) -> str:
    """Return what happened; of what is no user's mistake its kind as well."""
    return str(error).rstrip(".") if isinstance(error, DebateError) else f"{type(error).__name__}: {error}"
