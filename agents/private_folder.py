"""Folders for sockets and logs of this process: nobody else comes in, and they are gone when it is, or swept by the next one."""

import os
import shutil
import tempfile
from pathlib import Path


def private_folder(prefix: str) -> Path:
    """Return a new folder for this user alone (0700), and delete those of the same prefix whose processes are gone.

    Args:
        prefix: of the name; the process's id follows.
    """
    _sweep(prefix)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-"))


def _sweep(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        pid = folder.name.removeprefix(prefix).partition("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
