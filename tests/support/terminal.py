"""A command in a real pseudo-terminal, and what then stands on its screen."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pyte


def _in_the_foreground():
    """Make the terminal the process' own. Ctrl-C counts there, also where these tests run in the background and it does not."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A terminal in which `debate ARGUMENTS` runs.

    Args:
        arguments: of the command.
        columns, lines: size of the terminal.
        cwd, env: of the process; what `env` holds is added to the environment.
    """

    def __init__(self, *arguments, columns=80, lines=200, cwd=None, env=None):
        self._parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "debate", *map(str, arguments)],
            stdin=child, stdout=child, stderr=child, cwd=cwd, env=environment, start_new_session=True,
            preexec_fn=_in_the_foreground,
        )  # fmt: skip
        os.close(child)
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.poll() is None and self.process.kill()
        self.process.wait()
        os.close(self._parent)

    @property
    def lines(self):
        """What stands on the screen."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self):
        """What stands on the screen, in one line."""
        return " ".join(" ".join(self.lines).split())

    def type(self, keys):
        """Type bytes."""
        os.write(self._parent, keys)

    def wait_for(self, text, timeout_s=120, count=1):
        """Return the seconds until a text stands on the screen, so many times."""
        start = time.monotonic()
        while sum(line.count(text) for line in self.lines) < count:
            goes_on = self._goes_on()
            if not goes_on and sum(line.count(text) for line in self.lines) >= count:
                break
            assert goes_on, f"ended without {text!r}:\n" + self._shown
            assert time.monotonic() < start + timeout_s, f"no {text!r} within {timeout_s} s:\n" + self._shown
        return time.monotonic() - start

    def wait(self, timeout_s=120):
        """Return the exit code of the process when it has ended."""
        until = time.monotonic() + timeout_s
        while self._goes_on():
            assert time.monotonic() < until, f"still running after {timeout_s} s:\n" + self._shown
        return self.process.wait(timeout=10)

    @property
    def _shown(self):
        return "\n".join(line for line in self.lines if line)

    def _goes_on(self):
        """Read what is there; return whether more may come."""
        ready, _, _ = select.select([self._parent], [], [], 0.05)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self._parent, 65536)
        except OSError:
            return False
        self._stream.feed(data)
        return bool(data)


def screen_of(*arguments, timeout_s=120, keys=None, **options):
    """Return the exit code and the lines on the screen of a terminal in which a command ran to its end.

    Args:
        arguments, options: see Terminal.
        timeout_s: seconds after which the test fails.
        keys: (text that must stand on the screen, bytes to type then), once.
    """
    with Terminal(*arguments, **options) as terminal:
        if keys is not None:
            terminal.wait_for(keys[0], timeout_s)
            terminal.type(keys[1])
        return terminal.wait(timeout_s), terminal.lines
