"""What a person watches: the debates under way, and the running score. Quiet when the output is not a terminal."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agents.backends import human
from debate.cli.consoles import SafeConsole, notes, screen_console
from debate.cli.lines import decision_line, turn_line
from debate.runtime.observer import Observer
from evals.cli.progress import Progress

REFRESH_PER_S = 4
RECENT = 6
LINE_EVERY_S, LATER_EVERY_S = 2.0, 30.0


class Screen(Observer):
    """Shows evaluations and runs.

    Args:
        verbose: print every turn and decision, for `debate run`, which plays one debate at a time.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose, self._out = verbose, screen_console()
        # Refreshed by a thread of ours, which waits for prints to be whole.
        self._live = self._panel()
        self._methods: list[str] = []
        self._progress = Progress()
        self._under_way: dict[tuple[str, str, Any], float] = {}
        self._recent: deque[Text] = deque(maxlen=RECENT)
        self._entered = time.perf_counter()
        self._closing = threading.Event()
        self._ticking = threading.Thread(target=self._refresh if notes.is_terminal else self._print_lines, daemon=True)

    def __enter__(self) -> "Screen":
        self._entered = time.perf_counter()
        if notes.is_terminal:
            self._live.start()
        self._ticking.start()
        human.here.desk = self
        return self

    def __exit__(self, *exc: object) -> None:
        human.here.desk = human.PlainDesk()
        self._closing.set()
        self._ticking.join()
        with notes.lock:
            self._live.stop()

    def _panel(self) -> Live:
        return Live(self, console=notes, auto_refresh=False, transient=True)

    def _refresh(self) -> None:
        while not self._closing.wait(1 / REFRESH_PER_S):
            with notes.lock:
                if self._live.is_started:
                    self._live.refresh()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Take the panel away while a person is asked."""
        with notes.lock:
            was_drawn = self._live.is_started
            self._live.stop()
        try:
            yield
        finally:
            with notes.lock:
                if was_drawn and not self._closing.is_set():
                    # A new one: the old one would draw over as many lines as it had.
                    self._live = self._panel()
                    self._live.start()

    def show(self, text: str) -> None:
        """Print what a person is asked, also where notes are not wanted."""
        SafeConsole(stderr=True).print(text, markup=False, soft_wrap=True)

    def _print_lines(self) -> None:
        """Say how far it is in lines, where there is no terminal to draw on: each two seconds, after a minute each thirty."""
        said = ""
        while not self._closing.wait(LINE_EVERY_S if time.perf_counter() - self._entered < 60 else LATER_EVERY_S):
            if self._methods and not self.verbose and (now := self._head()) != said:
                said = now
                notes.print(f"· {now}", markup=False, soft_wrap=True)

    def of_method(self, method: str) -> Observer:
        """Return who is told of the debates of one method, of those under way."""
        return _OfMethod(self, method)

    def method_started(self, method: str, debate: Any, total: int, backends: Sequence[Any]) -> None:
        """Begin a method; beside others where they are under way."""
        if not self._methods:
            self._progress = Progress()
        self._methods.append(method)
        self._progress.expect(method, total, debate.protocol.num_turns, dependent=debate.remembers_questions)
        if not notes.is_terminal:
            notes.print(f"· {method}: {total} questions, {len(debate.agents)} agent(s)", markup=False)

    def method_continued(self, row: Any) -> None:
        """Count what an earlier session played."""
        self._progress.continued(row.total, row.turns)

    def debate_began(self, question: Any) -> None:
        """Show which debate begins, where each is followed."""
        if self.verbose:
            self._out.rule(question.text, align="left", style="dim")

    def debate_resumed(self, method: str, question: Any, turns: int) -> None:
        """Count what was said of a debate before."""
        self._progress.debate_continued(method, question.id, turns)

    def turn_began(self, method: str, question: Any, turn: Any) -> None:
        """Show who speaks."""
        self._under_way[method, question.id, turn] = time.perf_counter()

    def turn_ended(self, method: str, question: Any, turn: Any) -> None:
        """Show what was said."""
        self._under_way.pop((method, question.id, turn.key), None)
        self._progress.said(method, question.id, turn.usage.generated_tokens)
        said = turn_line(turn)
        if self.verbose:
            self._out.print(said)
        else:
            self._recent.append(Text(f"{question.id}  ").append(said))

    def debate_ended(self, method: str, question: Any, decision: Any, score: Any) -> None:
        """Show what a debate came to."""
        saved = self._progress.ended(method, question.id, None if score is None else score.value == "correct")
        if self.verbose:
            self._out.print(decision_line(decision, score))
            if saved:
                self._out.print(f"ended early: {saved} of {self._progress.planned(method)} turns saved", markup=False)

    def debate_given_up(self, method: str, question: Any, reason: str) -> None:
        """Say that a debate was given up."""
        self._progress.ended(method, question.id, None)
        self._under_way = {key: since for key, since in self._under_way.items() if key[:2] != (method, question.id)}
        notes.print(f"! {question.id} failed: {reason}", markup=False)

    def method_finished(self, row: Any) -> None:
        """End a method."""
        self._methods.remove(row.method)
        took = "" if row.seconds is None else f", {row.seconds:.0f} s"
        notes.print(f"· {row.method}: {row.correct}/{row.total} correct{took}", markup=False)

    def _head(self) -> str:
        return self._progress.line()

    def __rich__(self) -> RenderableType:
        head = self._head() if self._methods else f"loading   {time.perf_counter() - self._entered:.0f} s"
        speaking = Table.grid(padding=(0, 2))
        for (method, question, turn), since in list(self._under_way.items())[:8]:
            place = (method,) if len(self._methods) > 1 else ()
            seconds = f"{time.perf_counter() - since:.0f} s"
            speaking.add_row(*place, question, f"round {turn.round}", turn.agent, seconds)
        if len(self._under_way) > 8:
            speaking.add_row(f"and {len(self._under_way) - 8} more")
        return Panel(Group(Text(head), speaking, *self._recent), title="debate", title_align="left")


class _OfMethod(Observer):
    """Tells a screen of one method's debates."""

    def __init__(self, screen: Screen, method: str) -> None:
        self._screen, self._method = screen, method

    def debate_started(self, question: Any) -> None:
        """A debate begins."""
        self._screen.debate_began(question)

    def debate_continued(self, question: Any, turns: int) -> None:
        """Some of its turns were said before."""
        self._screen.debate_resumed(self._method, question, turns)

    def turn_started(self, question: Any, turn: Any) -> None:
        """A turn was submitted."""
        self._screen.turn_began(self._method, question, turn)

    def turn_said(self, question: Any, turn: Any) -> None:
        """A turn was said."""
        self._screen.turn_ended(self._method, question, turn)

    def debate_decided(self, question: Any, decision: Any, score: Any) -> None:
        """A debate ended."""
        self._screen.debate_ended(self._method, question, decision, score)

    def debate_failed(self, question: Any, reason: str) -> None:
        """A debate was given up."""
        self._screen.debate_given_up(self._method, question, reason)


def results_table(rows: Sequence[Any], task: str) -> Table:
    """Return the table of methods."""
    total = rows[0].asked if rows else 0
    failed = any(row.failed for row in rows)
    table = Table(
        title=f"{task}: {total} questions, the same for every method",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    lost = ("failed",) if failed else ()
    for name in ("method", "correct", "share", "none", *lost, "turns", "tokens", "prompt", "cached", "KiB", "s"):
        table.add_column(name, justify="left" if name == "method" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.method,
            f"{row.correct}/{row.total}",
            f"{100 * row.accuracy:.1f}%",
            str(row.no_answer),
            *([str(row.failed)] if failed else []),
            str(row.turns),
            f"{row.generated_tokens:,}",
            f"{row.prompt_tokens:,}",
            f"{row.cached_tokens:,}",
            f"{row.message_bytes / 1024:,.0f}",
            "–" if row.seconds is None else f"{row.seconds:.1f}",
        )
    table.caption = (
        "none: questions without an answer, counted as wrong; tokens: generated; prompt, cached: tokens read, cached being "
        "the part that was not computed again; KiB: messages; s: wall time, engines started"
        + ("; failed: given up (an engine failed, or the prompt was too long), counted as wrong" if failed else "")
    )
    return table
