"""Agents behind an API: text by chat completions, from any server that speaks OpenAI's protocol.

Retries are made here and not in the client: a second attempt has to pass the same rate limit and the same number of
open requests as a first, a server's Retry-After holds back every request and not only the one that was told, the
jitter follows the request's seed, and an answer that breaks off in the middle, which the client hands out as an error,
is worth another attempt too.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import openai

from agents.backend import Backend, Capabilities, Generation, Load, Pending, Request, Usage
from agents.backends.endpoint import Endpoint, find_endpoint
from agents.backends.openai import chat
from agents.backends.openai.bounded import BoundedClient
from agents.backends.openai.failures import Failures, is_passing, retry_after
from agents.backends.openai.pace import Pace
from agents.decoding.thinking import thinking_end
from agents.errors import BackendFailed, ConfigError, DebateError
from agents.fingerprint import ModelFingerprint, remote_fingerprint
from agents.message import Message
from agents.pretrained import Progress
from agents.secrets import refuse_secrets
from agents.valid_text import valid_text

# Between attempts: doubled each time up to the longest, of which the jitter takes up to half.
LONGEST_BACKOFF_S = 30.0
# A server that asks for more is out of quota rather than busy.
LONGEST_HOLD_S = 300.0
# Shorter waits are not worth a line on the screen.
TOLD_WAIT_S = 5.0


class PendingChat(Pending):
    """A request under way."""

    def __init__(self) -> None:
        super().__init__()
        self.task: asyncio.Task[Generation] | None = None
        self.shown = ""

    def cancel(self) -> None:
        """Close the connection; awaiting gives what had been streamed."""
        super().cancel()
        if self.task is not None:
            self.task.cancel()

    def show(self, text: str) -> None:
        """Push what of a text has not been shown.

        Raises:
            BackendFailed: it is not the text that was begun.
        """
        if not text.startswith(self.shown):
            raise BackendFailed(
                f"the connection broke after {len(self.shown)} characters were shown, and the second answer is another "
                "text. Ask again."
            )
        if len(text) > len(self.shown):
            self.push(text[len(self.shown) :])
            self.shown = text


class OpenAIBackend(Backend):
    """Text from a server: `vllm serve`, Ollama, OpenRouter, OpenAI and others of the protocol.

    Neither table nor tokenizer of the model are known: it speaks and hears text, messages have no token ids, and token
    counts are the server's (0 where it gives none).

    Args:
        model: as the server calls it.
        base_url: where its API begins.
        api_key_env: the environment variable with the key; OPENAI_API_KEY by default, and no key for a server on this
            machine; `none` for a server elsewhere that needs none.
        api_key: refused: keys are read from the environment.
        timeout_s: most seconds of one attempt, from sending to the end of the answer.
        max_retries: most further attempts at a request.
        backoff_s: seconds before the second attempt, doubled for each further one, with jitter by the request's seed.
        requests_per_minute, tokens_per_minute: rate limits; tokens are reserved by length and max_tokens and corrected
            by the server's count.
        max_concurrency: most requests open at once.
        sends_top_k: whether the server knows `top_k`.
        token_limit: the field for max_tokens: `max_completion_tokens` at OpenAI, whose newer models refuse the older
            `max_tokens`, which is used elsewhere.
        extra_body: further fields of every request, by the server's names.
        max_num_seqs: as other backends call max_concurrency; the lower one holds.
        dtype: accepted as by other backends; the server decides.
        progress: called with a sentence for long waits.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = "https://api.openai.com/v1",
        api_key_env: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 300.0,
        max_retries: int = 5,
        backoff_s: float = 0.5,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        max_concurrency: int = 16,
        sends_top_k: bool = False,
        token_limit: chat.TokenLimit | None = None,
        extra_body: Mapping[str, Any] | None = None,
        max_num_seqs: int | None = None,
        dtype: str | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        given = {"api_key": api_key, "api_key_env": api_key_env, "base_url": base_url, "extra_body": extra_body}
        refuse_secrets(given, where="openai")
        _check_numbers(
            timeout_s=timeout_s,
            backoff_s=backoff_s,
            max_retries=max_retries,
            max_concurrency=max_concurrency,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
        )
        self.endpoint = find_endpoint(base_url, api_key_env)
        if self.endpoint.key and not self.endpoint.is_encrypted and not self.endpoint.is_loopback:
            progress(f"warning: the key in ${self.endpoint.key.env} goes to {self.endpoint.host} unencrypted (http)")
        self.model = model
        self.load = Load()
        self._extra = chat.checked_extra(extra_body)
        self._sends_top_k = sends_top_k
        self._token_limit = _token_limit(token_limit, self.endpoint)
        self._timeout_s, self._max_retries, self._backoff_s = timeout_s, max_retries, backoff_s
        self._failures = Failures(self.endpoint, model)
        self._pace = Pace(requests_per_minute, tokens_per_minute)
        self._slots = asyncio.Semaphore(min(max_concurrency, max_num_seqs or max_concurrency))
        self._client, self._withheld = _client(self.endpoint, timeout_s), _withheld(self.endpoint)
        self._calls: set[PendingChat] = set()
        self._is_closed = self._is_told_uncounted = False
        self._progress = progress

    @property
    def capabilities(self) -> Capabilities:
        """Text only; the server alone knows its context."""
        return Capabilities(text=True, vectors_in=False, vectors_out=False, context=None)

    @property
    def fingerprint(self) -> ModelFingerprint:
        """Model and server by name; nothing of it equals another model's."""
        return remote_fingerprint(self.model, self.endpoint.host)

    def submit(self, request: Request) -> Pending:
        """Queue a request; what only the server can refuse is refused when the answer is awaited."""
        if self._is_closed:
            raise BackendFailed(f"{self.fingerprint.model} was closed; make a new backend")
        fields = chat.body(
            request, self.model, token_limit=self._token_limit, sends_top_k=self._sends_top_k, extra=self._extra
        )
        call = PendingChat()
        self._calls.add(call)
        self.load.waiting += 1
        call.task = asyncio.get_running_loop().create_task(self._answer(call, request, fields))
        call.task.add_done_callback(lambda task: self._end(call, request, task))
        return call

    async def close(self) -> None:
        """End the requests under way as cancelled and close the connections."""
        self._is_closed = True
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*(call.task for call in calls if call.task), return_exceptions=True)
        await self._client.close()

    async def _answer(self, call: PendingChat, request: Request, fields: dict[str, Any]) -> Generation:
        """Ask until there is an answer or an end to trying."""
        tokens = chat.guessed_tokens(request)
        for attempt in range(self._max_retries + 1):
            try:
                return await self._attempt(call, request, fields, tokens)
            except Exception as error:
                if not is_passing(error):
                    raise
                failure = self._failures.final(error, request.sampling.max_tokens)
                wait_s = self._wait_s(error, request, attempt)
                if failure is None and (attempt == self._max_retries or wait_s > LONGEST_HOLD_S):
                    failure = self._given_up(error, attempt + 1, wait_s)
                if failure is not None:
                    raise failure from self._failures.keep(error)
                if wait_s >= TOLD_WAIT_S:
                    self._progress(f"{self.endpoint.host}: {self._failures.sentence(error)}; again in {wait_s:.0f} s")
            await asyncio.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, call: PendingChat, request: Request, fields: dict[str, Any], tokens: float) -> Generation:
        """Ask once, when it is this request's turn."""
        async with self._slots:
            await self._pace.wait(tokens)
            self.load.waiting -= 1
            self.load.running += 1
            try:
                async with asyncio.timeout(self._timeout_s):
                    reply = await (self._streamed(call, fields) if call.is_followed else self._whole(fields))
            finally:
                self.load.waiting += 1
                self.load.running -= 1
        usage = reply.usage or self._uncounted()
        if reply.usage is not None:
            self._pace.settle(tokens, usage.prompt_tokens + usage.generated_tokens)
        finish = reply.finish_reason
        text = self._failures.hide(reply.text + valid_text(reply.half))
        call.show(text)
        self.load.prompt_tokens += usage.prompt_tokens
        self.load.generated_tokens += usage.generated_tokens
        return Generation(self._message(text, request, self._failures.hide(reply.thinking)), usage, finish)

    async def _whole(self, fields: dict[str, Any]) -> chat.Reply:
        asked = self._client.chat.completions.with_raw_response
        return chat.read_reply(chat.completion((await asked.create(**fields, extra_headers=self._withheld)).content))

    async def _streamed(self, call: PendingChat, fields: dict[str, Any]) -> chat.Reply:
        """Ask for the answer in pieces and show them as they come."""
        reply, key = chat.Reply(), self.endpoint.key
        stream = await self._client.chat.completions.create(
            **fields, stream=True, stream_options={"include_usage": True}, extra_headers=self._withheld
        )
        async with stream:
            async for chunk in stream:
                chat.add_chunk(reply, chunk)
                text = key.hide_growing(reply.text) if key else reply.text
                # A second attempt begins with what the first has shown.
                if len(text) > len(call.shown):
                    call.show(text)
        return reply

    def _end(self, call: PendingChat, request: Request, task: asyncio.Task[Generation]) -> None:
        """Hand out what a request came to; one cancelled before it began ends here too."""
        self._calls.discard(call)
        self.load.waiting -= 1
        if task.cancelled():
            # The server's counts come with the end of an answer, so there are none.
            call.finish(Generation(self._message(call.shown, request), Usage(0, 0, 0), "cancelled"))
        else:
            call.finish(task.exception() or task.result())

    def _message(self, text: str, request: Request, thinking: str = "") -> Message:
        end = thinking_end(text)
        return Message(text[end:], self.fingerprint, request.sampling.temperature, thinking=thinking + text[:end])

    def _uncounted(self) -> Usage:
        if not self._is_told_uncounted:
            self._is_told_uncounted = True
            self._progress(f"{self.endpoint.host} does not count tokens: they are recorded as 0")
        return Usage(0, 0, 0)

    def _wait_s(self, error: Exception, request: Request, attempt: int) -> float:
        """Return the seconds before the next attempt; where the server names some, everyone waits them out."""
        jitter = random.Random(f"{request.sampling.seed}|{attempt}").random()
        backoff: float = min(self._backoff_s * 2**attempt, LONGEST_BACKOFF_S) * (1 - jitter / 2)
        asked = retry_after(error)
        if asked is None:
            return backoff
        if asked <= LONGEST_HOLD_S:
            self._pace.hold(asked)
        # Those who were told together do not come back together.
        return asked + backoff

    def _given_up(self, error: Exception, attempts: int, wait_s: float) -> DebateError:
        said = self._failures.sentence(error)
        asked = f", and asks to wait {wait_s:.0f} s" if wait_s > LONGEST_HOLD_S else ""
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        return BackendFailed(f"{self.fingerprint.model} gave no answer in {tries}: {said}{asked}")


def _withheld(endpoint: Endpoint) -> dict[str, Any]:
    """Return the client's own headers that a server is not to get: key and account of another, from the environment."""
    names = ["Authorization"] if endpoint.key is None else []
    if not endpoint.is_openai:
        names += ["OpenAI-Organization", "OpenAI-Project"]
    return {name: openai.Omit() for name in names}


def _client(endpoint: Endpoint, timeout_s: float) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=endpoint.key.value if endpoint.key else "none",
        base_url=endpoint.base_url,
        timeout=timeout_s,
        max_retries=0,
        # What runs on this machine is not reached through a proxy.
        http_client=BoundedClient(trust_env=not endpoint.is_loopback),
    )


def _token_limit(given: str | None, endpoint: Endpoint) -> chat.TokenLimit:
    match given:
        case None:
            return "max_completion_tokens" if endpoint.is_openai else "max_tokens"
        case "max_tokens" | "max_completion_tokens":
            return given
    raise ConfigError(f"token_limit {given!r}: choose max_tokens or max_completion_tokens")


def _check_numbers(**given: float | None) -> None:
    for name, value in given.items():
        if value is None and name.endswith("per_minute"):
            continue
        least = 0 if name in ("max_retries", "backoff_s") else 1 if name == "max_concurrency" else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and value == value
        is_whole = isinstance(value, int) or name not in ("max_retries", "max_concurrency")
        if not is_number or not is_whole or value is None or (value <= 0 if least is None else value < least):
            kind = "a whole number" if name in ("max_retries", "max_concurrency") else "a number"
            bound = "above 0" if least is None else f"of at least {least}"
            raise ConfigError(f"openai.{name}: {kind} {bound}; got {value!r}")
