"""A process for scoring that may take any time or memory: asked in JSON lines, ended when it is late, started again."""

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

from agents.process_time import cpu_seconds

START_S = 120.0
# For how many times as long as it may compute the process is waited for, where a busy machine lets it wait.
PATIENCE = 30
# Seconds between looks at how long it has computed.
_LOOK_S = 0.1


class OutOfTime(Exception):
    """The answer was not there in time; the process was ended."""


class WorkerDied(Exception):
    """The process ended by itself, for want of memory as a rule."""


class Worker:
    """One scoring process, started when it is first asked. Questions from several threads wait for each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()

    def ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Return the reply to a request.

        Raises:
            OutOfTime: none within `timeout_s` seconds of the process' own time, so that what a busy machine makes of an answer is
                what an idle one does, or within `PATIENCE` times as many on the clock; starting it does not count.
            WorkerDied: it ended.
        """
        with self._lock:
            process = self._started()
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
            except OSError as error:
                self._end()
                raise WorkerDied("the scoring process ended") from error
            return self._reply(timeout_s)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "evals.scoring.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            # Some generators of reasoning-gym walk through sets: without this each process would draw other questions.
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
        )
        self._lines = queue.Queue()
        threading.Thread(target=_read, args=(self._process, self._lines), daemon=True).start()
        # It says so when it is ready, so that imports are not charged to the first question.
        self._reply(START_S)
        return self._process

    def _reply(self, timeout_s: float) -> dict[str, Any]:
        line = self._next_line(timeout_s)
        if line is None:
            self._end()
            raise WorkerDied("the scoring process ended while it compared")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _next_line(self, timeout_s: float) -> str | None:
        assert self._process is not None
        pid = self._process.pid
        before, began = cpu_seconds(pid), time.monotonic()
        while True:
            try:
                return self._lines.get(timeout=min(timeout_s, _LOOK_S))
            except queue.Empty:
                now, waited = cpu_seconds(pid), time.monotonic() - began
                computed = waited if before is None or now is None else now - before
                if computed >= timeout_s or waited >= PATIENCE * timeout_s:
                    self._end()
                    raise OutOfTime from None

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process = None


@cache
def worker() -> Worker:
    """Return the process that everything here shares."""
    made = Worker()
    atexit.register(made.close)
    return made


def _read(process: "subprocess.Popen[str]", lines: "queue.Queue[str | None]") -> None:
    assert process.stdout is not None
    # The pipe may be closed under the reader when the process is ended.
    with contextlib.suppress(ValueError, OSError):
        for line in process.stdout:
            lines.put(line)
    lines.put(None)
