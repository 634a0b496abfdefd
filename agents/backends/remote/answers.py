"""What a server of agents says of itself, and what its refusals mean here."""

from collections.abc import Mapping
from typing import Any

import httpx

from agents.backend import Capabilities
from agents.errors import BackendFailed, ConfigError, DebateError, PromptTooLong, RequestError
from agents.fingerprint import ModelFingerprint
from agents.json_text import parse_json

LONGEST_WAIT_S = 60.0
LONGEST_SENTENCE = 400
# A message of 8,192 tokens with vectors of 4,096 float32 has 128 MiB.
LARGEST_BODY = 1 << 29
# What they say is of the body as it was sent, not as it was read.
OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")


class Forgotten(Exception):
    """The server does not have messages that a prompt names.

    Args:
        digests: theirs.
    """

    def __init__(self, digests: list[str]) -> None:
        super().__init__()
        self.digests = digests


class Body:
    """What a server answers, read piece by piece so that one that never ends is refused.

    Args:
        host: of the server, for the sentence.
    """

    def __init__(self, host: str) -> None:
        self._host, self._content = host, bytearray()

    def add(self, chunk: bytes) -> None:
        """Take the next piece, decompressed.

        Raises:
            BackendFailed: more than any message is long.
        """
        if len(self._content) + len(chunk) > LARGEST_BODY:
            raise BackendFailed(f"{self._host} answers with more than {LARGEST_BODY:,} bytes, which no message has")
        self._content += chunk

    def response(self, opened: httpx.Response) -> httpx.Response:
        """Return a streamed answer with the body that was read."""
        headers = [(name, value) for name, value in opened.headers.multi_items() if name.lower() not in OF_THE_WIRE]
        return httpx.Response(opened.status_code, headers=headers, content=bytes(self._content))


def fingerprint_of(card: Mapping[str, Any], host: str) -> tuple[ModelFingerprint, Capabilities]:
    """Return which model an agent there has, and what it takes and gives.

    Raises:
        ConfigError: the card is none of an agent with vectors.
    """
    try:
        model, can = card["model"], card["capabilities"]
        found = ModelFingerprint(
            str(model["model"]),
            _hash(model["table"]),
            _hash(model["tokenizer"]),
            _whole(model["vocabulary"]),
            _whole(model["width"]),
        )
        context = None if can["context"] is None else _whole(can["context"])
        capabilities = Capabilities(
            text=True, vectors_in=can["vectors_in"] is True, vectors_out=can["vectors_out"] is True, context=context
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{host}: this is no agent's card: {type(error).__name__}: {error}") from error
    return found, capabilities


def later(answer: httpx.Response, backoff_s: float) -> float | None:
    """Return the seconds after which a refused request is worth another try; None where it is not."""
    if answer.status_code not in (429, 503):
        return None
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), LONGEST_WAIT_S) if asked.isdigit() else backoff_s


def failure(answer: httpx.Response, host: str) -> Exception:
    """Return the error that a refusal is here."""
    try:
        error = parse_json(answer.content)["error"]
        code, said = error.get("code"), str(error["message"])[:LONGEST_SENTENCE]
        detail = error.get("detail") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        code, said, detail = None, f"status {answer.status_code}", {}
    if code == "not_heard" and isinstance(detail.get("digests"), list):
        return Forgotten([str(digest) for digest in detail["digests"]])
    counts = [detail[name] for name in ("prompt_tokens", "max_tokens", "context") if type(detail.get(name)) is int]
    if code == "context_length_exceeded" and len(counts) == 3:
        return PromptTooLong(*counts)
    sentence = f"{host}: {said}"
    if answer.status_code in (401, 403, 404):
        return ConfigError(sentence)
    kind: type[DebateError] = RequestError if answer.status_code < 500 and answer.status_code != 429 else BackendFailed
    return kind(sentence)


def _hash(value: Any) -> str:
    if not isinstance(value, str) or not value.isalnum():
        raise ValueError(f"{str(value)[:40]!r} is no hash")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise ValueError(f"{str(value)[:40]!r} is no number of a model")
    return value
