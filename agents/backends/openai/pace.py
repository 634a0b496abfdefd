"""Rate limits: how long a request waits before it is sent.

Requests are spread evenly, without bursts, so that no window of any length holds more than its share plus one request.
"""

import asyncio
import time
from collections.abc import Callable

MINUTE_S = 60.0


class Pace:
    """Requests and tokens a minute of one server, and its wishes to be left alone.

    Args:
        requests_per_minute, tokens_per_minute: None for no limit.
        clock: seconds.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._request_s = MINUTE_S / requests_per_minute if requests_per_minute else 0.0
        self._token_s = MINUTE_S / tokens_per_minute if tokens_per_minute else 0.0
        self._clock = clock
        self._requests_free_at = self._tokens_free_at = self._held_until = 0.0

    def reserve(self, tokens: float) -> float:
        """Return the time at which a request of so many tokens may go; places are given in order of asking."""
        start = max(self._clock(), self._requests_free_at, self._tokens_free_at)
        self._requests_free_at = start + self._request_s
        self._tokens_free_at = start + tokens * self._token_s
        return start

    def settle(self, reserved: float, spent: float) -> None:
        """Correct a reservation once the server has counted: what was not spent is free for those who come next."""
        self._tokens_free_at += (spent - reserved) * self._token_s

    def hold(self, seconds: float) -> None:
        """Let nothing go for a while: the server asked for it."""
        self._held_until = max(self._held_until, self._clock() + seconds)

    async def wait(self, tokens: float) -> None:
        """Wait for a request's turn."""
        start = self.reserve(tokens)
        while (left := max(start, self._held_until) - self._clock()) > 0:
            await asyncio.sleep(left)
