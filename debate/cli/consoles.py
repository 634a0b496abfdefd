"""The two streams that commands print to. What models, questions and files say is text here, never a command to the terminal."""

import threading
import unicodedata
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.segment import Segment

# Kept though they are control characters: a table's and a paragraph's own.
KEPT = "\n\t"
# Characters that reorder what stands around them: a reader would see another text than was said.
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """Return a text without characters that move the cursor, change colours, end lines or reorder letters.

    Each becomes U+FFFD, so that something is seen to have been there; so do lone surrogates, which no stream can write.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\ufffd" if character not in KEPT and (character in BIDI or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"))
        else character
        for character in text
    )  # fmt: skip


class _Printable:
    """A renderable whose text is made printable after it was laid out, styles and all."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for text, style, control in console.render(self._inner, options):
            yield Segment(text if control else printable(text), style, control)


class _Hook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Printable(renderable) for renderable in renderables]


class SafeConsole(Console):
    """A console whose prints are whole: a panel that another thread refreshes holds `lock` meanwhile."""

    lock = threading.RLock()

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False)
        self.push_render_hook(_Hook())

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, with nothing of another thread in between."""
        with self.lock:
            super().print(*objects, **options)


console = SafeConsole()
notes = SafeConsole(stderr=True)


def screen_console() -> SafeConsole:
    """Return where results are printed while a live panel is drawn on `notes`.

    Where both streams are the same terminal they must go through one console: the panel moves the cursor up by the lines
    that it drew itself, and would erase what another console printed in between.
    """
    return notes if console.is_terminal and notes.is_terminal else console
