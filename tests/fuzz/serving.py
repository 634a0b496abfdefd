"""Target: requests to `debate serve`. Whatever they hold, they are answered or refused, and never a fault of the server."""

import json
from pathlib import Path
from typing import ClassVar

from fuzz.mutation import by_value
from fuzz.target import Target, kind_and_rest
from support.serving import SUM, asking
from support.serving_inside import JSON_TYPE, LOCAL, Inside, check

from debate.serving.limits import Limits

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
LARGEST_BODY = 50_000


class Turned(Exception):
    """An error in OpenAI's form, of a request that cannot be answered."""


class Bodies(Target):
    """Bodies of requests, whole and in pieces, with sound headers and with drawn ones; and paths of models."""

    name, documented, share = "bodies", (Turned,), 1.5
    kinds = ("chat", "completions", "pieces", "header", "model")
    pieces = (
        b'"stream": true, ',
        b'"debate": {"rounds": 2}, ',
        b'"debate": {"method": "text"}, ',
        b'"debate": {"id": "x"}, ',
        b'"seed": -1, ',
        b'"n": 2, ',
        b'"stop": ["."], ',
        b'"max_tokens": 1, ',
        b'"stream_options": {"include_usage": true}, ',
        b'"role": "system"',
        b'"role": "assistant"',
        b'"content": [{"type": "text", "text": "x"}]',
        b'"model": "smoke/ada"',
        b'"tools": [1], ',
        b'"echo": true, ',
        b'"messages": [',
        b"### Task:",
        b"application/json; charset=utf-16",
        b"Bearer ",
        b"127.0.0.1",
        b"\\ud800",
        b"\\u0000",
        b"\xee\x80\x80",
        b"<|im_start|>",
    )
    changes = (lambda blob, chance: blob[:1] + by_value()(blob[1:], chance),)
    _inside: ClassVar[Inside | None] = None

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        # One for all: its engines and its loop last as long as the process.
        if Bodies._inside is None:
            Bodies._inside = Inside(Limits(max_body=LARGEST_BODY))

    def seeds(self) -> list[bytes]:
        system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SUM}]
        earlier = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}, *system[1:]]
        chats = (
            asking(SUM),
            asking(SUM, "smoke/ada", stream=True, stream_options={"include_usage": True}),
            {"model": "smoke", "messages": system, "debate": {"rounds": 1, "seed": 7}, "max_tokens": 9, "stop": "."},
            {"model": "smoke", "messages": earlier, "debate": {"method": "text"}, "temperature": 0.5, "n": 1},
        )
        completions = ({"model": "smoke", "prompt": SUM, "echo": True}, {"model": "smoke/ben", "prompt": [SUM, "2*3"]})
        return [
            *(bytes([kind]) + json.dumps(chat).encode() for kind in (0, 2) for chat in chats),
            *(b"\1" + json.dumps(completion).encode() for completion in completions),
            b"\3application/json",
            b"\4smoke/ada",
        ]

    def read(self, blob: bytes) -> None:
        inside = Bodies._inside
        assert inside is not None
        kind, content = kind_and_rest(blob, len(self.kinds))
        match self.kinds[kind]:
            case "model":
                path = "/v1/models/" + content.decode("utf-8", "replace")
                status, text = inside.request(path, method="GET")
                assert json.loads(text), "no JSON"
                assert status in (200, 404), (status, text)
            case "header":
                status, text = inside.request(
                    CHAT,
                    json.dumps(asking(SUM, "smoke/ada")).encode(),
                    headers=[LOCAL, (b"content-type", content), (b"authorization", content), (b"x-other", content)],
                )
                assert status in (200, 415), (status, text)
                assert json.loads(text), "no JSON"
            case named:
                halves = (
                    (content[: len(content) // 2], content[len(content) // 2 :]) if named == "pieces" else (content,)
                )
                path = COMPLETIONS if named == "completions" else CHAT
                status, text = inside.request(path, *halves, headers=[LOCAL, JSON_TYPE])
                check(_object(content), status, text)
        if status != 200:
            raise Turned(status)


def _object(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
