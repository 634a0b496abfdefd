"""One writer a run: a lock in its folder, which the system lets go of however its holder dies."""

import errno
import shlex
from pathlib import Path

from filelock import FileLock, Timeout

from agents.errors import RunError, writing_failed
from debate.run_folder.facts import read_facts

LOCK = "lock"
# `debate status` takes the lock for an instant to see whether anybody holds it.
PATIENCE_S = 0.5
# What file systems without locks say, or whose lock server is gone.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def hold(run: Path) -> FileLock:
    """Return the lock of a run's folder, held by this process; the folder is made if need be.

    Raises:
        RunError: another process holds it, or the disk does not take it.
    """
    lock = FileLock(run / LOCK, timeout=PATIENCE_S, thread_local=False)
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock.acquire(poll_interval=0.05)
    except Timeout as error:
        raise RunError(
            f"{run} is being written by another process ({_holder(run)}). Wait for it, stop it with "
            f"`debate cancel {shlex.quote(str(run))}`, or choose another folder with --out."
        ) from error
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise RunError(
                f"{run} cannot be locked ({error.strerror}): its file system has no locks, as some network file systems, and "
                "without one a second process could write the same run. Choose a folder elsewhere with --out."
            ) from error
        raise writing_failed(run, error) from error
    return lock


def is_being_written(path: Path) -> bool:
    """Whether a process holds a run's lock."""
    lock = FileLock(path / LOCK, timeout=0)
    try:
        with lock:
            return False
    except Timeout:
        return True
    except OSError as error:
        raise RunError(f"cannot tell whether {path} is being written: {error.strerror}") from error


def _holder(run: Path) -> str:
    try:
        facts = read_facts(run / "run.json")
        return f"process {facts['pid']} on {facts['host']}"
    except (RunError, KeyError):
        return "it has only begun"
