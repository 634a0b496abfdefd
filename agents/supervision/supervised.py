"""Limits concurrent turns on an engine (unlimited, N, or exclusive), and restarts it when it dies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from agents.backend import Backend, Pending, Request
from agents.errors import BackendFailed
from agents.supervision.wrapped import Wrapped

CLOSING_PATIENCE_S = 5.0


class Gate:
    """Who may be with an engine at once: everybody, so many, or one alone.

    When an engine dies, everyone it served is a suspect. Suspects are tried again one by one with nobody else there, so
    that only what fails alone is held against a question.

    Args:
        most: who may ever be there at once.
    """

    def __init__(self, most: int | None = None) -> None:
        self.running = 0
        self._most = most
        self.limit: int | None = None
        self._passed = 0
        self._suspects = 0
        self._is_closed = False
        self._narrowed_by: BaseException | None = None
        self._waiters: list[asyncio.Future[None]] = []
        # Ends what reaches the engine past this gate, before somebody is let in alone.
        self.recall: Callable[[], Coroutine[Any, Any, None]] | None = None

    @contextlib.asynccontextmanager
    async def entered(self, *, alone: bool) -> AsyncIterator[None]:
        """Hold a place; `alone` waits until nobody else has one, and keeps everyone else out."""
        if alone:
            self._suspects += 1
            try:
                if self.recall is not None:
                    await self.recall()
                await self._wait(lambda: self.running == 0 and not self._is_closed)
                self._is_closed = True
            finally:
                self._suspects -= 1
                self._wake()
        elif not self._is_open():
            await self._wait(self._is_open)
        self.running += 1
        try:
            yield
            self._widen()
        finally:
            self.running -= 1
            if alone:
                self._is_closed = False
            self._wake()

    def narrow(self, cause: BaseException) -> None:
        """Let half as many in as are there now; once a cause, which may have met all of them."""
        if cause is not self._narrowed_by:
            self._narrowed_by = cause
            self.limit, self._passed = max(1, self.running // 2), 0

    def _widen(self) -> None:
        """Let one more in when as many as may be here have passed since."""
        if self.limit is not None:
            self._passed += 1
            if self._passed >= self.limit:
                self.limit, self._passed = self.limit + 1, 0

    def _is_open(self) -> bool:
        room = min((limit for limit in (self.limit, self._most) if limit is not None), default=None)
        return not self._is_closed and not self._suspects and (room is None or self.running < room)

    @property
    def num_waiting(self) -> int:
        """How many wait to be let in."""
        return len(self._waiters)

    @property
    def is_shared(self) -> bool:
        """Whether nobody is there alone or waits to be."""
        return not self._is_closed and not self._suspects

    async def emptied(self) -> None:
        """Wait until nobody is there."""
        await self._wait(lambda: self.running == 0)

    async def _wait(self, until: Callable[[], bool]) -> None:
        while not until():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class Supervised(Wrapped):
    """A backend behind which the engine may be replaced by an equal one.

    Args:
        name: name in the journal.
        start: returns a started backend; called again when one has died.
        outstanding: maximum number of turns at the engine at once.
    """

    def __init__(self, name: str, start: Callable[[], Backend], *, outstanding: int | None = None) -> None:
        super().__init__(start())
        self.name, self._start = name, start
        self.starts = 1
        self.gate = Gate(outstanding)
        self.is_ready = True
        self.outstanding_tokens = 0
        self._under_way: dict[Pending, int] = {}
        self._replacing = asyncio.Lock()

    def submit(self, request: Request) -> Pending:
        """Queue a request with the engine that runs now."""
        pending = self.inner.submit(request)
        self._under_way[pending] = tokens = request.expected_tokens
        self.outstanding_tokens += tokens
        pending.when_done(lambda: self._ended(pending))
        return pending

    def _ended(self, pending: Pending) -> None:
        self.outstanding_tokens -= self._under_way.pop(pending)

    def fail(self, error: BackendFailed) -> None:
        """Let everything that is under way fail with an error."""
        for pending in list(self._under_way):
            pending.finish(error)

    async def engine_for(self, debate: str) -> "Supervised":
        """Return itself: the one engine there is."""
        return self

    async def mend(self, engine: "Supervised", seen: int) -> None:
        """Start the engine again; see `replace`."""
        await self.replace(seen)

    async def replace(self, seen: int) -> None:
        """Start the engine again, unless that was done since the caller counted `starts`; what it held fails.

        Raises:
            BackendFailed: another model was started.
        """
        async with self._replacing:
            if self.starts != seen:
                return
            before = self.inner.fingerprint
            # A hung engine does not end what it holds.
            self.fail(BackendFailed(f"{self.name} was started again"))
            with contextlib.suppress(TimeoutError, BackendFailed):
                async with asyncio.timeout(CLOSING_PATIENCE_S):
                    await self.inner.close()
            self.inner = await asyncio.to_thread(self._start)
            self.starts += 1
            if not self.inner.fingerprint.is_again(before):
                raise BackendFailed(f"{self.name} was started again and is {self.inner.fingerprint}, not {before}")
