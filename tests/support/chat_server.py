"""A small real server of chat completions on loopback, with faults on demand. A rule answers; nothing is a mock of HTTP."""

import contextlib
import json
import select
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from agents.backend import Prompt, Request, Sampling
from agents.backends.mock import arithmetician

CONTEXT = 400


@dataclass
class Fault:
    """What one request meets instead of an answer.

    Attributes:
        status, message, code, headers, raw: an error status with its body; `raw` in place of the JSON.
        sleep_s: seconds of silence before anything.
        reset_after: pieces of a stream (or 0 of a whole answer) before the connection is reset.
        change: changes the whole answer, or each chunk of a stream, before it is sent.
    """

    status: int = 200
    message: str = ""
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: str | None = None
    sleep_s: float = 0.0
    reset_after: int | None = None
    change: Callable[[dict[str, Any]], Any] = lambda answer: answer


class ChatServer:
    """The server.

    Attributes:
        faults: taken from the front, one a request; when none is left all is well.
        reply: (what is read, request) → the text; the mock's arithmetic by default.
        delay_s: seconds before an answer, and between the pieces of a stream.
        seen: each request as (time, headers, body).
        most_open: the most requests that were open at once.
        dropped: requests whose client went away before the end.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.reply: Callable[[str, Request], str] = arithmetician(0.7)
        self.delay_s = 0.0
        self.model = "tiny-chat"
        self.seen: list[tuple[float, dict[str, str], dict[str, Any]]] = []
        self.open = self.most_open = self.dropped = 0
        self.lock = threading.Lock()
        server = self

        class Handler(_Handler):
            owner = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What was asked, in order of arrival."""
        return [body for _, _, body in self.seen]

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ChatServer

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def handle(self) -> None:
        """Serve a connection; one that its client closes is no error."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_POST(self) -> None:
        """Answer a chat completion."""
        owner = self.owner
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with owner.lock:
            headers = {name.lower(): value for name, value in self.headers.items()}
            owner.seen.append((time.monotonic(), headers, body))
            fault = owner.faults.pop(0) if owner.faults else Fault()
            owner.open += 1
            owner.most_open = max(owner.most_open, owner.open)
        try:
            self._answer(body, fault)
        except ConnectionError:
            with owner.lock:
                owner.dropped += 1
            self.close_connection = True
        finally:
            with owner.lock:
                owner.open -= 1

    def _answer(self, body: dict[str, Any], fault: Fault) -> None:
        self._rest(fault.sleep_s or self.owner.delay_s)
        if fault.status != 200 or fault.raw is not None:
            return self._error(fault)
        read = "\n".join(f"{turn['role']}: {turn['content']}" for turn in body["messages"])
        asked = body.get("max_tokens") or body.get("max_completion_tokens")
        prompt_tokens = len(read.split())
        if body["model"] != self.owner.model:
            return self._error(Fault(404, f"The model `{body['model']}` does not exist."))
        if prompt_tokens > CONTEXT:
            return self._error(
                Fault(
                    400,
                    f"This model's maximum context length is {CONTEXT} tokens. However, your prompt contains at least "
                    f"{prompt_tokens} input tokens, which exceeds this limit even without any output tokens.",
                )
            )
        sampling = Sampling(body["temperature"], max_tokens=asked, seed=body["seed"])
        text = self.owner.reply(read, Request(Prompt.of(read), sampling))
        for stop in body.get("stop", []):
            text = text.split(stop)[0]
        words = text.split(" ")
        finish = "length" if len(words) > asked else "stop"
        words = words[:asked]
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": len(words) + (finish == "stop"),
            "total_tokens": prompt_tokens + len(words),
            "prompt_tokens_details": {"cached_tokens": prompt_tokens // 2},
        }
        if body.get("stream"):
            return self._stream(words, finish, usage, fault)
        message = {"role": "assistant", "content": " ".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        answer = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
        if fault.reset_after is not None:
            return self._reset()
        return self._send(200, json.dumps(fault.change({**answer, "usage": usage})))

    def _stream(self, words: list[str], finish: str, usage: dict[str, Any], fault: Fault) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        base = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": self.owner.model}
        pieces = [{"content": word if place == 0 else f" {word}"} for place, word in enumerate(words)]
        for place, delta in enumerate(pieces):
            if place == fault.reset_after:
                return self._reset()
            self._rest(self.owner.delay_s)
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            self._chunk(fault.change({**base, "choices": [choice], "usage": None}))
        last = {"index": 0, "delta": {}, "finish_reason": finish}
        self._chunk(fault.change({**base, "choices": [last], "usage": None}))
        self._chunk(fault.change({**base, "choices": [], "usage": usage}))
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")
        return None

    def _chunk(self, value: Any) -> None:
        self._event(json.dumps(value))

    def _event(self, data: str) -> None:
        line = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

    def _error(self, fault: Fault) -> None:
        error = {"message": fault.message, "type": "error", "param": None, "code": fault.code}
        raw = json.dumps({"error": error}) if fault.raw is None else fault.raw
        self._send(fault.status, raw, fault.headers)

    def _send(self, status: int, raw: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(raw.encode())))
        self.end_headers()
        self.wfile.write(raw.encode())

    def _rest(self, seconds: float) -> None:
        """Wait, and notice a client that goes away meanwhile."""
        if seconds and select.select([self.connection], [], [], seconds)[0]:
            raise ConnectionAbortedError

    def _reset(self) -> None:
        # With no time to linger the kernel sends a reset instead of an orderly end.
        self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise ConnectionResetError
