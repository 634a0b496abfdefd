"""How many debates are played at once, how many wait, and what is refused."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from debate.serving.errors import ApiError

# How much the newest debate counts in the mean time of one, from which the time to retry is estimated.
WEIGHT = 0.2
LONGEST_RETRY_S = 60


class Admission:
    """Places for debates: some are played, some wait in the order in which they came.

    Args:
        running: debates played at once.
        waiting: debates that may wait.

    Attributes:
        inside: debates played and waiting.
        playing: debates played.
    """

    def __init__(self, running: int, waiting: int) -> None:
        self._running, self._most = running, running + waiting
        self._places = asyncio.Semaphore(running)
        self._seconds = 1.0
        self.inside = self.playing = 0

    def enter(self, count: int) -> None:
        """Take the places of a request's debates in the queue; each is given back by `leave`.

        Raises:
            ApiError: 429 where the queue is full, with the seconds after which to try again; 400 where it is too short for
                the request at any time.
        """
        if count > self._most:
            raise ApiError(400, f"a request of {count} debates; this server takes {self._most} at once", param="prompt")
        if self.inside + count > self._most:
            wait = math.ceil(self._seconds * (self.inside + count - self._most) / self._running)
            retry = min(max(wait, 1), LONGEST_RETRY_S)
            raise ApiError(
                429,
                f"{self.inside} debates are played or wait, and no more may; try again in {retry} s",
                code="queue_full",
                headers={"Retry-After": str(retry)},
            )
        self.inside += count

    def leave(self, count: int) -> None:
        """Give places back."""
        self.inside -= count

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for one's turn and hold it while a debate is played."""
        async with self._places:
            start = time.monotonic()
            self.playing += 1
            try:
                yield
                self._seconds += WEIGHT * (time.monotonic() - start - self._seconds)
            finally:
                self.playing -= 1
