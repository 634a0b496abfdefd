"""Does something take time in proportion to its size? Its growth says; seconds say as much of the machine as of the code."""

import time
from collections.abc import Callable

STEP = 4
# What is so quick at the full size has no need to prove more, and is too quick to be measured.
QUICK_S = 0.4


def seconds(work: Callable[[], object]) -> float:
    """Return what a piece of work takes of this thread's processor time: other threads, and other processes, may be busy."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def growth(work: Callable[[int], Callable[[], object]], size: int) -> float:
    """Return how much longer a size takes than a quarter of it: about 4 in proportion to the size, about 16 to its square.

    Args:
        work: makes the work of a size; the making is not counted.
        size: the full size.

    Returns:
        The ratio of the better of three of each, taken side by side; 0 where the full size is quick.
    """
    large = work(size)
    if seconds(large) < QUICK_S:
        return 0.0
    small = work(size // STEP)
    pairs = [(seconds(small), seconds(large)) for _ in range(3)]
    return min(pair[1] for pair in pairs) / min(pair[0] for pair in pairs)
