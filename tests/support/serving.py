"""A real server of debates on loopback, in a thread, and bytes over its sockets."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from openai import AsyncOpenAI, OpenAI

from debate.config.load import load_config
from debate.config.schema import DebateConfig
from debate.serving.limits import Limits
from debate.serving.server import Listen, serve

SUM = "What is the result of 3+4*5+6-2*7?"
NO_KEY = "unused"


@dataclass
class Served:
    """A server that runs.

    Attributes:
        url: its base_url.
        server: uvicorn's; set `should_exit` to stop it.
        thread: where it runs.
    """

    url: str
    server: Any
    thread: threading.Thread

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    def client(self, **options: Any) -> OpenAI:
        """Return a client that tries once."""
        return OpenAI(base_url=self.url, **{"api_key": NO_KEY, "max_retries": 0, "timeout": 60, **options})

    def async_client(self, **options: Any) -> AsyncOpenAI:
        """Return a client for an event loop."""
        return AsyncOpenAI(base_url=self.url, **{"api_key": NO_KEY, "max_retries": 0, "timeout": 60, **options})

    def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (names in lower case) and body of one request; a body that is no text is sent as JSON."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        data = body if isinstance(body, str | bytes | None) else json.dumps(body)
        try:
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def post(self, body: Any, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and parsed body of a chat request."""
        status, found, text = self.send("POST", "/v1/chat/completions", body, headers)
        return status, found, json.loads(text)

    def open(self, body: dict[str, Any], *, receive_buffer: int | None = None) -> socket.socket:
        """Return the socket of a chat request that was sent and not answered yet."""
        text = json.dumps(body)
        found = socket.socket()
        found.settimeout(30)
        if receive_buffer is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        found.connect(self.address)
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        found.sendall(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())
        return found

    def metric(self, name: str) -> float:
        """Return the value of a counter by its name and labels; 0 where it has none yet."""
        lines = self.send("GET", "/metrics")[2].decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


def asking(text: str, model: str = "smoke", **more: Any) -> dict[str, Any]:
    """Return the body of a chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def smoke(**changes: Any) -> DebateConfig:
    """Return the shipped `smoke`, changed."""
    return load_config("smoke").model_copy(update=changes)


@contextlib.contextmanager
def serving(
    configs: dict[str, DebateConfig], limits: Limits | None = None, listen: Listen | None = None, **options: Any
) -> Iterator[Served]:
    """Serve configs on a free port while the block lasts."""
    is_ready, found, failure = threading.Event(), [], []

    def ready(url: str, server: Any) -> None:
        found.append((url, server))
        is_ready.set()

    def main() -> None:
        try:
            asyncio.run(serve(configs, listen or Listen(port=0), limits or Limits(), ready=ready, **options))
        except BaseException as error:
            failure.append(error)
        finally:
            is_ready.set()

    thread = threading.Thread(target=main, name="serving")
    thread.start()
    assert is_ready.wait(120)
    if failure:
        raise failure[0]
    served = Served(*found[0], thread)
    try:
        yield served
    finally:
        served.server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
        if failure:
            raise failure[0]


def until(holds: Any, seconds: float = 10.0) -> None:
    """Wait until something holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
