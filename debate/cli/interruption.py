"""Ctrl-C: answered at once, also while something computes that cannot be interrupted, and carried out within seconds.

The signal's number reaches a thread through a pipe the moment it arrives. That thread says that the command is stopping,
and makes it stop: it cancels what the event loop plays; where the loop does not answer, since a model is being loaded in it,
it interrupts whatever the main thread does; and where that is of no avail either, it ends the process. The journal of a run
holds what was finished in each of these cases.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from debate.cli.consoles import notes

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

EXIT_CODE = 130
STOPPING = "stopping…"
SENTENCE = "Interrupted. Run the same command to continue."
# After so many seconds the process is ended, whatever it does.
PATIENCE_S = 4.0
# An event loop that is free answers at once; one that loads a model does not.
LOOP_PATIENCE_S = 0.7
DONE = b"\0"


class Interrupted(BaseException):
    """Ctrl-C, or `debate cancel`, while a command was running.

    No KeyboardInterrupt: the command line's library would end the process without a word, and one that is raised while the
    interpreter executes a text, as dataclasses do, makes it end with another exit code.
    """


class Interruption:
    """Handles Ctrl-C while it is entered, in the main thread; elsewhere, and where Ctrl-C is ignored, it does nothing."""

    def __init__(self) -> None:
        self.is_asked = False
        self._is_forced = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._answered, self._ended = threading.Event(), threading.Event()
        self._before: Any = None
        self._pipe: tuple[int, int] | None = None
        self._wakeup = -1
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    def __enter__(self) -> "Interruption":
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            return self
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._before = signal.signal(signal.SIGINT, self._on_signal)
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, args=(self._pipe[0],), name="interruption", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._pipe is None or self._thread is None:
            return
        if self.is_asked:
            # What the interpreter still has to end, other threads above all, keeps its limit; asking again changes nothing.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            return
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._before)
        self._ended.set()
        os.write(self._pipe[1], DONE)
        self._thread.join()
        for end in self._pipe:
            os.close(end)

    async def guarded(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine comes to; Ctrl-C cancels the task that awaits this."""
        import asyncio

        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        try:
            return await coroutine
        finally:
            self._loop = self._task = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Run in the main thread, as soon as it is between two instructions of Python."""
        loop, task = self._loop, self._task
        if os.getpid() != self._process:
            raise KeyboardInterrupt
        if loop is None or task is None:
            if _is_importing(frame):
                # Nothing has been begun, and compiled modules may abort when Python code that they call raises.
                self._answered.wait(LOOP_PATIENCE_S)
                end_now()
            raise Interrupted
        if self._is_forced:
            # The loop lets this pass, and ends.
            raise KeyboardInterrupt
        task.cancel()
        # Wakes the loop, which may be waiting.
        loop.call_soon_threadsafe(lambda: None)

    def _watch(self, readable: int) -> None:
        while (data := os.read(readable, 64)) and signal.SIGINT not in data:
            if self._ended.is_set():
                return
        self.is_asked = True
        until = time.monotonic() + PATIENCE_S
        say(STOPPING)
        self._answered.set()
        if self._loop is not None and not _answers(self._loop):
            self._is_forced = True
            # Not to any thread: what the main one waits for is to be interrupted.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if not self._ended.wait(max(0.0, until - time.monotonic())):
            end_now()


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _answers(loop: "asyncio.AbstractEventLoop") -> bool:
    answered = threading.Event()
    try:
        loop.call_soon_threadsafe(answered.set)
    except RuntimeError:
        # It has ended by itself.
        return True
    return answered.wait(LOOP_PATIENCE_S)


def say(sentence: str) -> None:
    """Print a note, above a panel if there is one; also where a library has the error stream redirected meanwhile."""
    from rich.file_proxy import FileProxy

    # A panel takes the error stream too, and what were printed beside it would be drawn over.
    if sys.stderr is sys.__stderr__ or sys.__stderr__ is None or isinstance(sys.stderr, FileProxy):
        notes.print(sentence, markup=False)
    else:
        print(sentence, file=sys.__stderr__, flush=True)


def end_now() -> None:
    """End this process and those that it started, without another word to anybody but the person who asked."""
    multiprocessing = sys.modules.get("multiprocessing")
    for child in multiprocessing.active_children() if multiprocessing is not None else ():
        child.kill()
    if sys.__stderr__ is not None:
        # A panel hides the cursor.
        print("\x1b[?25h" * sys.__stderr__.isatty() + SENTENCE, file=sys.__stderr__, flush=True)
    os._exit(EXIT_CODE)


current = Interruption()
