"""How our servers speak HTTP: one parser, and a bound on how long a connection may be without a request."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

# Seconds in which the head of a request has to arrive.
HEAD_S = 30.0


class _Impatient(H11Protocol):
    """A connection that is closed where no request begins on it in time, a trickle of a head, or of a refused body, included.

    Of a head without an end this parser keeps 64 KiB; the other one, which engines may bring, keeps all of it.
    """

    head_s = HEAD_S
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def handle_events(self) -> None:
        """Take in what has arrived; a request that has begun is waited for by whoever answers it."""
        super().handle_events()
        if self._is_answering:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, unless it is here already."""
        super().on_response_complete()
        if not self._is_answering:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._stop_waiting()
        self._due = self.loop.call_later(self.head_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


def server_config(app: Any, *, drain_s: float, head_s: float = HEAD_S, **options: Any) -> uvicorn.Config:
    """Return the settings of a server of ours.

    Args:
        app: what answers.
        drain_s: seconds in which requests under way may end when the server is told to stop.
        head_s: seconds in which the head of a request has to arrive.
        options: further ones of uvicorn.
    """
    return uvicorn.Config(
        app,
        http=type("Impatient", (_Impatient,), {"head_s": head_s}),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=max(1, round(drain_s)),
        **options,
    )
