"""A person as an agent: the prompt stands on the terminal, and what is typed is the message.

One question is asked at a time, however many debates go on. What was answered is in the run's journal like any other turn,
so a run that goes on asks nothing again.
"""

import asyncio
import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from agents.backend import Backend, Capabilities, Generation, Load, Pending, Prompt, Request, Usage, refuse_decoding
from agents.errors import ConfigError, RequestError
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.pretrained import Progress
from agents.printable import printable

NO_ANSWER = "no answer"
LOOK_EVERY_S = 0.1
PERSON = ModelFingerprint("human", "", "", 0, 0)


class Desk(Protocol):
    """Where a person is asked."""

    def asking(self) -> contextlib.AbstractContextManager[None]:
        """Leave the terminal to one question while the context lasts."""

    def show(self, text: str) -> None:
        """Print a text."""


class PlainDesk:
    """The error stream, which nothing else draws on."""

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Do nothing."""
        yield

    def show(self, text: str) -> None:
        """Print a text, without characters that a terminal would obey."""
        print(printable(text), file=sys.stderr, flush=True)


class _Here:
    """The desk of this process; the command line puts its own there, which stops its panel meanwhile."""

    desk: Desk = PlainDesk()


here = _Here()


class HumanBackend(Backend):
    """A person at the terminal.

    Args:
        model: accepted as other backends do, and not looked at.
        timeout: seconds to answer in; after them "no answer" is what was said. No limit by default.
        dtype, progress: accepted as other backends do.
    """

    def __init__(
        self,
        model: str = "human",
        *,
        timeout: float | None = None,
        dtype: str = "",
        progress: Progress = lambda _: None,
    ) -> None:
        if timeout is not None and not (isinstance(timeout, int | float) and 0 < timeout < float("inf")):
            raise ConfigError(f"backend human: timeout is a number of seconds above 0; got {timeout!r}")
        if not (sys.stdin and sys.stdin.isatty()):
            raise ConfigError(
                "backend human asks a person at the terminal, and standard input is none here. Run the command in a terminal, "
                "without a pipe into it and with execution.runtime: local, or give the agent another backend."
            )
        self.load = Load()
        self._timeout = timeout
        self._closing = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="human")

    @property
    def capabilities(self) -> Capabilities:
        """Text alone: a person reads what a message reads as."""
        return Capabilities()

    @property
    def fingerprint(self) -> ModelFingerprint:
        """The same for everybody."""
        return PERSON

    def submit(self, request: Request) -> Pending:
        """Queue a question to the person."""
        refuse_decoding(request, "a person")
        if request.encoder is not None or request.choices or request.tokens:
            raise RequestError("a person writes text: give the agent encoder: none, and no `weighs`")
        pending = Pending()
        loop = asyncio.get_running_loop()
        self.load.waiting += 1

        def finish(done: "asyncio.Future[str | None]") -> None:
            self.load.waiting -= 1
            try:
                said = done.result()
            except (Exception, asyncio.CancelledError) as error:  # whoever waits must be told
                pending.finish(error)
                return
            text = NO_ANSWER if said is None else said
            pending.push(text)
            message = Message(text, PERSON, request.sampling.temperature)
            pending.finish(Generation(message, Usage(0, 0, 0), "cancelled" if pending.is_cancelled else "stop"))

        loop.run_in_executor(self._thread, self._ask, request.prompt, pending).add_done_callback(finish)
        return pending

    async def close(self) -> None:
        """Stop asking."""
        self._closing.set()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    def _ask(self, prompt: Prompt, pending: Pending) -> str | None:
        """Return what is typed; None where nothing is, in time or at all."""
        if self._is_over(pending):
            return None
        limit = "" if self._timeout is None else f" within {self._timeout:g} s"
        with here.desk.asking():
            _forget_typed(sys.stdin.fileno())
            here.desk.show(f"{readable(prompt)}\n\nYour message{limit}; an empty line ends it:")
            said = self._typed(pending)
            if said is None and not self._is_over(pending):
                here.desk.show(f"({NO_ANSWER})")
        return said

    def _is_over(self, pending: Pending) -> bool:
        return pending.is_cancelled or self._closing.is_set()

    def _typed(self, pending: Pending) -> str | None:
        """Return the lines up to an empty one or the end of input, which is looked for as long as somebody waits for it."""
        file = sys.stdin.fileno()
        until = None if self._timeout is None else time.monotonic() + self._timeout
        typed = b""
        while not self._is_over(pending):
            if until is not None and time.monotonic() > until:
                return None
            if not select.select([file], [], [], LOOK_EVERY_S)[0]:
                continue
            data = os.read(file, 65536)
            typed += data
            lines = typed.decode(errors="replace").lstrip()
            said, ended, _ = lines.partition("\n\n")
            if (ended or not data) and said.strip():
                return said.strip()
            if not data:
                return None
        return None


def readable(prompt: Prompt) -> str:
    """Return what a person reads of a prompt: its instructions and its last turn, vectors as their readings."""
    system = [turn for turn in prompt.turns if turn.role == "system"]
    turns = [*system, *(turn for turn in prompt.turns[-1:] if turn.role != "system")]
    return "\n\n".join(
        "".join(part if isinstance(part, str) else part.text.strip() for part in turn.parts) for turn in turns
    )


def _forget_typed(file: int) -> None:
    """Drop what was typed before there was a question."""
    import termios

    with contextlib.suppress(termios.error):
        termios.tcflush(file, termios.TCIFLUSH)
