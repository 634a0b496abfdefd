"""The two streams that commands print to. What models, questions and files say is text here, never a command to the terminal."""

import threading
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.segment import Segment

from agents.printable import printable as printable


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
    """A console whose prints are whole: a panel that another thread refreshes holds `lock` meanwhile.

    Text is shown as it is: `[link=…]`, `[/x]` and `:b:` in a name or an answer are words, and no markup.
    """

    lock = threading.RLock()

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)
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
