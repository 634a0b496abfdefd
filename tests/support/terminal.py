"""A command in a real pseudo-terminal, and what then stands on its screen."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

import pyte


def screen_of(*arguments, columns=80, lines=200, timeout_s=120, cwd=None, env=None, keys=None):
    """Return the exit code and the lines on the screen of a terminal in which `debate ARGUMENTS` ran to its end.

    Args:
        arguments: of the command.
        columns, lines: size of the terminal.
        timeout_s: seconds after which the command is killed.
        keys: (text that must stand on the screen, bytes to type then), once.
    """
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "debate", *map(str, arguments)],
        stdin=child, stdout=child, stderr=child, cwd=cwd, env=environment, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(child)
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    until, typed = time.monotonic() + timeout_s, keys is None
    try:
        while time.monotonic() < until:
            ready, _, _ = select.select([parent], [], [], 0.2)
            if ready:
                try:
                    data = os.read(parent, 65536)
                except OSError:
                    break
                if not data:
                    break
                stream.feed(data)
                if not typed and any(keys[0] in line for line in screen.display):
                    typed = True
                    os.write(parent, keys[1])
            elif process.poll() is not None:
                break
        else:
            process.kill()
        code = process.wait(timeout=10)
    finally:
        process.poll() is None and process.kill()
        os.close(parent)
    return code, [line.rstrip() for line in screen.display]
