"""An engine's process ends when the process that started it is gone, however that ended.

An engine whose client was killed waits for requests for good, and so may a worker whose engine was; on a GPU both keep the
memory that the next start needs.
"""

import multiprocessing
import os
import threading
import time

# How often the engine looks whether its parent still lives.
INTERVAL_S = 0.5


def end_with_parent(interval_s: float = INTERVAL_S) -> threading.Thread | None:
    """Watch the parent of this process from a thread, and end this process when the parent is gone.

    Returns the thread; None in a process that nobody started through multiprocessing, which has no parent to outlive.

    Args:
        interval_s: seconds between two looks; an orphan ends that long after its parent at the latest.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return None
    watch = threading.Thread(target=_watch, args=(parent.pid, interval_s), name="end-with-parent", daemon=True)
    watch.start()
    return watch


def _watch(parent: int | None, interval_s: float) -> None:
    # An orphan is given to another parent. A pipe would tell at once, but a sibling that was forked holds its other end too.
    while os.getppid() == parent:
        time.sleep(interval_s)
    # Nothing is left to answer to, and a step under way would hold up an orderly end.
    os._exit(1)
