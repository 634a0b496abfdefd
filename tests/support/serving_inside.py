"""A server of debates without a socket: requests go into the application as the web server would hand them over."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from support.serving import smoke

from debate.config.schema import DebateConfig
from debate.serving.app import Service
from debate.serving.limits import Limits
from debate.serving.models import Catalogue

JSON_TYPE = (b"content-type", b"application/json")
LOCAL = (b"host", b"localhost")


class Inside:
    """The application on an event loop of its own, which runs while a request is answered.

    Args:
        limits: of the server.
        configs: that it serves; `smoke` alone by default.
    """

    def __init__(self, limits: Limits, configs: dict[str, DebateConfig] | None = None) -> None:
        self._runner = asyncio.Runner()
        self._catalogue, self._app = self._runner.run(self._made(limits, configs or {"smoke": smoke()}))

    async def _made(self, limits: Limits, configs: dict[str, DebateConfig]) -> tuple[Catalogue, Any]:
        catalogue = Catalogue(configs, limits)
        return catalogue, Service(catalogue, limits).app

    def request(
        self,
        path: str,
        *pieces: bytes,
        method: str = "POST",
        headers: Sequence[tuple[bytes, bytes]] = (LOCAL, JSON_TYPE),
    ) -> tuple[int, bytes]:
        """Return status and body of the answer to a request whose body comes in pieces."""
        return self._runner.run(self._request(path, pieces, method, headers))

    async def _request(
        self, path: str, pieces: Sequence[bytes], method: str, headers: Sequence[tuple[bytes, bytes]]
    ) -> tuple[int, bytes]:
        sent: list[Any] = []
        pending = [
            {"type": "http.request", "body": piece, "more_body": place < len(pieces)}
            for place, piece in enumerate(pieces or (b"",), 1)
        ]

        async def receive() -> Any:
            return pending.pop(0) if pending else await asyncio.Future()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": list(headers),
        }
        await self._app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    def close(self) -> None:
        """End the engines and the loop."""
        self._runner.run(self._catalogue.close())
        self._runner.close()


def check(body: Any, status: int, text: bytes) -> None:
    """Assert that an answer is one: a completion, events to the end, or an error in its form below 500.

    Args:
        body: what was asked, as it was read; None where it is no object.
        status, text: of the answer.
    """
    if status == 200 and isinstance(body, dict) and body.get("stream") not in (None, False):
        last = text.decode().rstrip().split("\n\n")[-1]
        if last != "data: [DONE]":
            error = json.loads(last.removeprefix("data: "))["error"]
            assert error["code"] in ("invalid_request", "context_length_exceeded"), error
        return
    found = json.loads(text)
    if status == 200:
        assert found["choices"]
    else:
        assert status in (400, 404, 413), found
        assert set(found["error"]) == {"message", "type", "param", "code"}
        assert found["error"]["message"]
