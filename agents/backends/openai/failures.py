"""What went wrong with a request: is it tried again, when, and in which words is it told if not.

Tried again: 408, 409, 429 and 5xx, no connection, time-outs, broken answers. Not: a key that is refused (401, 403), a
model that is not there (404), a spent quota (402, or 429 saying so), and whatever else a server says of the request
itself (4xx): asking twice does not change it.
"""

import email.utils
import re
import time
from typing import Any

import openai

from agents.backends.endpoint import Endpoint
from agents.backends.openai.chat import BrokenReply
from agents.errors import ConfigError, DebateError, ModelError, PromptTooLong, RequestError

AGAIN = frozenset({408, 409, 429})
LONGEST_SENTENCE = 400
# In an error's body, one in another; what lies deeper is no sentence.
DEEPEST_LISTS = 4
_TOO_LONG = re.compile(
    r"context[ _](length|window|size)|maximum model length|max_model_len|prompt is too long|too many tokens",
    re.IGNORECASE,
)
_CONTEXT = re.compile(
    r"(?:maximum (?:context|model) length|context length)\D{0,20}?(\d[\d,]*)(?: tokens|\)|\.|,| )", re.IGNORECASE
)
# "(4400 in the messages, 600 in the completion)", "your messages resulted in 4400 tokens", "contains at least 257 input
# tokens", "Input length (257)", "(length 257)".
_PROMPT = re.compile(
    r"(\d[\d,]*) (?:in the messages|of text input|input tokens|in your prompt)|resulted in (\d[\d,]*) tokens"
    r"|length \((\d[\d,]*)\) exceeds|\(length (\d[\d,]*)\)",
    re.IGNORECASE,
)


class Failures:
    """The failures of one server, in words that name model and server and never the key.

    Args:
        endpoint: the server.
        model: what is asked for.
    """

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self.endpoint, self.model = endpoint, model

    def final(self, error: Exception, max_tokens: int) -> DebateError | None:
        """Return the error to end a request with; None for one that is worth another attempt."""
        if not isinstance(error, openai.APIStatusError):
            return None
        status, server, said = error.status_code, self.endpoint.host, self.sentence(error)
        told = error.response.headers.get("x-should-retry")
        again = told == "true" or (told != "false" and (status in AGAIN or status >= 500))
        if again and error.code != "insufficient_quota":
            return None
        if status in (401, 403):
            key = self.endpoint.key
            what = f"the key in ${key.env}" if key else "requests without a key (api_key_env names the variable of one)"
            return ConfigError(f"{server} refuses {what}: {status}, {said}")
        if status == 404:
            return ModelError(
                f"{server} has no model {self.model!r}, or {self.endpoint.base_url} is not where its API begins (most end "
                f"in /v1): {said}"
            )
        if _is_too_long(error, said):
            return _too_long(said, max_tokens) or RequestError(
                f"prompt and answer are too long for {self.model} at {server}; nothing was cut: {said}"
            )
        return RequestError(f"{self.model} at {server} refuses the request: {status}, {said}")

    def sentence(self, error: BaseException) -> str:
        """Return what happened, in the server's own words where it has any."""
        match error:
            case openai.APITimeoutError() | TimeoutError():
                text = "no answer in time"
            case openai.APIConnectionError():
                text = f"no connection ({_cause(error)})"
            case openai.APIStatusError():
                text = f"{_said(error.body) or error.response.reason_phrase or 'no reason given'}"
            case openai.APIError():
                text = f"the server broke off: {_said(error.body) or error.message}"
            case BrokenReply():
                text = str(error)
            case _:
                text = f"the answer cannot be read ({type(error).__name__}: {error})"
        return self.hide(_one_line(text))

    def hide(self, text: str) -> str:
        """Return a text without the key."""
        return self.endpoint.key.hide(text) if self.endpoint.key else text

    def keep(self, error: Exception) -> Exception | None:
        """Return an error as the cause of another; None where its words hold the key."""
        key = self.endpoint.key
        return None if key and any(key.value in text for text in (str(error), repr(error))) else error


def is_passing(error: Exception) -> bool:
    """Whether an error is one that a server can cause, rather than a mistake of ours."""
    # ValueError: JSON that is none; RecursionError: JSON that is nested without end.
    return isinstance(error, openai.APIError | TimeoutError | BrokenReply | ValueError | RecursionError)


def retry_after(error: Exception) -> float | None:
    """Return the seconds that the server asks to be left alone; None where it does not say."""
    if not isinstance(error, openai.APIStatusError):
        return None
    headers = error.response.headers
    for name, per_s in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / per_s
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    moment = email.utils.parsedate_tz(headers.get("retry-after", ""))
    try:
        return None if moment is None else max(0.0, email.utils.mktime_tz(moment) - time.time())
    except (ValueError, OverflowError):  # a moment that no calendar has
        return None


def _is_too_long(error: openai.APIStatusError, said: str) -> bool:
    return error.code == "context_length_exceeded" or bool(_TOO_LONG.search(said))


def _too_long(said: str, max_tokens: int) -> PromptTooLong | None:
    """Return the error with its figures, where the sentence has them."""
    context, prompt = _CONTEXT.search(said), _PROMPT.search(said)
    if context is None or prompt is None:
        return None
    length = _number(next(group for group in prompt.groups() if group))
    found = PromptTooLong(length, max_tokens, _number(context.group(1)))
    return found if found.over > 0 else None


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _said(body: Any, depth: int = DEEPEST_LISTS) -> str:
    """Return the sentence in an error's body, as servers nest it differently."""
    while isinstance(body, dict):
        body = next((body[name] for name in ("message", "error", "detail") if body.get(name)), "")
    if isinstance(body, list):
        items = (item.get("msg", item) if isinstance(item, dict) else item for item in body * bool(depth))
        return "; ".join(_said(item, depth - 1) for item in items)
    return str(body or "")


def _cause(error: BaseException) -> str:
    inner = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return str(inner) or type(inner).__name__


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SENTENCE else f"{line[:LONGEST_SENTENCE]}…"
