"""Bodies that arrive and answers that leave piece by piece, from and to clients that may be slow, or gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from debate.serving.debates import Growing, Job, Outcome
from debate.serving.errors import ApiError, as_api_error
from debate.serving.replies import HEARTBEAT, event
from debate.transcript import Turn

T = TypeVar("T")
JSON = "application/json"


class Chunks(Protocol):
    """How the answers of an endpoint are streamed."""

    def opening(self) -> list[bytes]:
        """What is sent at once."""

    def growing(self, turn: Growing) -> list[bytes]:
        """What is sent of a turn while it is said."""

    def said(self, turn: Turn) -> list[bytes]:
        """What is sent of a turn."""

    def closing(self, outcome: Outcome) -> list[bytes]:
        """What is sent of the answer."""


async def read_body(request: Request, most: int, seconds: float, expected: str = JSON) -> bytes:
    """Return the body of a request.

    Raises:
        ApiError: it is of another kind than expected by its header, too long, or does not arrive in time.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != expected:
        # What a page can send from elsewhere without being asked is none of it.
        raise ApiError(415, f"Content-Type is {kind[:80]!r}; send {expected}", code="unsupported_media_type")
    too_long = ApiError(
        413, f"the body is longer than {most} bytes, the most that this server takes", code="body_too_large"
    )
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise too_long
    except TimeoutError as error:
        raise ApiError(408, f"the body did not arrive within {seconds:g} s", code="timeout") from error
    return bytes(body)


async def outcomes_or_gone(request: Request, job: Job) -> list[Outcome] | None:
    """Return the outcomes of a job; None, and the job cancelled, where the client goes away first."""
    return await done_or_gone(request, job.task)


async def done_or_gone(request: Request, task: "asyncio.Future[T]") -> T | None:
    """Return what a task comes to; None, and the task cancelled, where the client goes away first."""
    watcher = asyncio.create_task(_gone(request))
    either: set[asyncio.Future[Any]] = {task, watcher}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        watcher.cancel()
        task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class JobStream(StreamingResponse):
    """The debate as server-sent events while it goes on; ends the job where the client goes away or stops reading.

    Args:
        job: of one debate.
        chunks: how it is told.
        heartbeat_s: seconds of silence after which a comment is sent.
        send_s: seconds in which the client must take a piece.
        report: told of an exception that is nobody's mistake but ours.
    """

    def __init__(
        self, job: Job, chunks: Chunks, *, heartbeat_s: float, send_s: float, report: Callable[[BaseException], None]
    ) -> None:
        headers = {"X-Debate-Id": job.id, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(self._pieces(chunks, heartbeat_s), media_type="text/event-stream", headers=headers)
        self._job, self._send_s, self._report = job, send_s, report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""

        async def send_in_time(message: Any) -> None:
            async with asyncio.timeout(self._send_s):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except (TimeoutError, OSError):
            # It takes nothing any more: the connection is given up, and not finished as if all had been sent.
            pass
        finally:
            self._job.cancel()

    async def _pieces(self, chunks: Chunks, heartbeat_s: float) -> AsyncIterator[bytes]:
        for piece in chunks.opening():
            yield piece
        while True:
            try:
                async with asyncio.timeout(heartbeat_s):
                    told = await self._job.events.get()
            except TimeoutError:
                yield HEARTBEAT
                continue
            if told is None:
                break
            for piece in chunks.said(told) if isinstance(told, Turn) else chunks.growing(told):
                yield piece
        try:
            (outcome,) = self._job.task.result()
            closing = chunks.closing(outcome)
        except asyncio.CancelledError:
            yield event(ApiError(503, "the server is stopping; ask again", code="stopping").body)
            return
        except Exception as error:
            known = as_api_error(error)
            if known.status == 500:
                self._report(error)
            yield event(known.body)
            return
        for piece in closing:
            yield piece
