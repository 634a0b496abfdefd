"""Stopping a run from another process: a file in its folder, which the run looks for. It works wherever the folder is seen."""

import asyncio
import contextlib
import shlex
import time
from collections.abc import AsyncIterator
from pathlib import Path

from agents.errors import RunError, writing_failed
from debate.run_folder.folder import CANCEL
from debate.run_folder.lock import is_being_written
from debate.run_folder.reader import require_run

LOOK_EVERY_S = 0.5


@contextlib.asynccontextmanager
async def cancellable(run: Path) -> AsyncIterator[None]:
    """Cancel the task that is in this context when somebody asks for it."""
    task = asyncio.current_task()
    assert task is not None

    async def look() -> None:
        while not (run / CANCEL).exists():
            await asyncio.sleep(LOOK_EVERY_S)
        task.cancel()

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def cancel(run: Path, patience_s: float) -> bool:
    """Ask a run to stop; return whether it has within so many seconds.

    Raises:
        RunError: the folder is not a run, or nobody is writing it.
    """
    require_run(run)
    if not is_being_written(run):
        command = f"debate status {shlex.quote(str(run))}"
        raise RunError(f"{run} is not running: no process writes it. `{command}` says how it ended.")
    try:
        (run / CANCEL).touch()
    except OSError as error:
        raise writing_failed(run / CANCEL, error) from error
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if not is_being_written(run):
            return True
        time.sleep(0.1)
    return False
