"""An agent on another machine: what it hears and says travels as message files, vectors included, to and from `debate serve`.

Its prompts are made here, by this debate's config; the machine there has the model. What it says is what it would say here.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from agents.backend import Backend, Capabilities, FinishReason, Generation, Load, Pending, Request, Usage
from agents.backends.endpoint import Endpoint, find_endpoint
from agents.backends.remote.answers import Body, Forgotten, failure, fingerprint_of, later
from agents.errors import BackendFailed, ConfigError, DebateError, MessageError
from agents.fingerprint import ModelFingerprint
from agents.json_text import parse_json
from agents.message import Message
from agents.message_file import from_bytes, to_bytes
from agents.pretrained import Progress
from agents.remote_request import FILE_TYPE, FINISH, USAGE, messages_of, read_usage, request_body
from agents.secrets import refuse_secrets
from agents.tokenizer_wire import read_tokenizer_body
from kernels.encoders.registry import parse

FINISHES: dict[str, FinishReason] = {"stop": "stop", "length": "length", "filtered": "filtered"}
# A server that is busy or restarts its engine is asked again so often.
TRIES = 5
BACKOFF_S = 0.5
CARD_TIMEOUT_S = 30.0


class PendingAnswer(Pending):
    """A request under way."""

    def __init__(self) -> None:
        super().__init__()
        self.task: asyncio.Task[Generation] | None = None

    def cancel(self) -> None:
        """Close the connection, which ends the turn there."""
        super().cancel()
        if self.task is not None:
            self.task.cancel()


class RemoteBackend(Backend):
    """An agent that another `debate serve` has loaded.

    Args:
        model: its id there, CONFIG/AGENT.
        base_url: of the server, as for OpenAI's clients, e.g. `https://gpu-box:8000/v1`.
        api_key_env: the environment variable with the server's token; `none` for a server elsewhere that needs none.
        api_key: refused: tokens are read from the environment.
        timeout_s: maximum seconds of one turn there.
        max_num_seqs: most turns asked for at once.
        dtype: accepted as by other backends; the server decides.
        progress: told what takes time.

    Raises:
        ConfigError: no such server or agent, or one without vectors.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key_env: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 600.0,
        max_num_seqs: int = 64,
        dtype: str | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        refuse_secrets({"api_key": api_key, "api_key_env": api_key_env, "base_url": base_url}, where="remote")
        if max_num_seqs < 1 or not timeout_s > 0:
            raise ConfigError("remote: max_num_seqs is at least 1, and timeout_s above 0")
        self.model, self.load = model, Load()
        self.endpoint = find_endpoint(base_url, api_key_env or ("none" if _is_local(base_url) else None))
        if self.endpoint.key and not self.endpoint.is_encrypted and not self.endpoint.is_loopback:
            progress(f"warning: the token in ${self.endpoint.key.env} goes to {self.endpoint.host} unencrypted (http)")
        progress(f"asking {self.endpoint.host} for {model}")
        self._id = quote(model)
        card = self._asked_now(f"cipher/agents/{self._id}")
        self._fingerprint, self._capabilities = fingerprint_of(card, self.endpoint.host)
        tokenizer = self._asked_now(f"cipher/tokenizers/{self._id}")
        self.tokenizer = read_tokenizer_body(tokenizer, self._fingerprint.tokenizer)
        self._timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(max_num_seqs)
        self._sent: set[str] = set()
        self._calls: dict[asyncio.Task[Generation], Pending] = {}

    @property
    def capabilities(self) -> Capabilities:
        """Text and vectors, both ways, where the agent there has them."""
        return self._capabilities

    @property
    def fingerprint(self) -> ModelFingerprint:
        """The model's there, so that vectors pass between it and the same model here as they are."""
        return self._fingerprint

    def submit(self, request: Request) -> Pending:
        """Queue a request; what only the server can refuse is refused when the answer is awaited."""
        body = request_body(request, self.model)
        pending = PendingAnswer()
        task = asyncio.get_running_loop().create_task(self._answer(request, body))
        self._calls[task] = pending
        pending.task = task
        self.load.waiting += 1
        task.add_done_callback(lambda done: self._end(done, request))
        return pending

    async def close(self) -> None:
        """End what is under way as cancelled, and close the connections."""
        for task in list(self._calls):
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _answer(self, request: Request, body: dict[str, Any]) -> Generation:
        async with self._slots:
            for attempt in range(TRIES):
                try:
                    return await self._spoken(request, body)
                except Forgotten as error:
                    self._sent.difference_update(error.digests)
                    if attempt + 1 == TRIES:
                        raise BackendFailed(
                            f"{self.endpoint.host} does not keep what it hears; raise its --max-body"
                        ) from None
        raise AssertionError("the last attempt returns or raises")

    async def _spoken(self, request: Request, body: dict[str, Any]) -> Generation:
        """Tell the agent what it has not heard, and return what it says."""
        for digest, message in messages_of(request).items():
            if digest not in self._sent:
                await self._post(f"cipher/hear?model={self._id}", to_bytes(message), FILE_TYPE)
                self._sent.add(digest)
        answer = await self._post("cipher/speak", json.dumps(body).encode(), "application/json")
        source = f"{self.model} at {self.endpoint.host}"
        try:
            message = from_bytes(answer.content, source=source)
            usage, finish = read_usage(parse_json(answer.headers[USAGE])), FINISHES[answer.headers[FINISH]]
        except (MessageError, ValueError, KeyError) as error:
            raise BackendFailed(f"{source} gave no message: {error}") from error
        if message.model != self._fingerprint:
            raise BackendFailed(f"{source} is now {message.model}, and was {self._fingerprint}")
        if refusal := _other_than_asked(request, message, usage):
            raise BackendFailed(f"{source} answered with {refusal}")
        # It keeps what it said, as its own last message in the next prompt.
        self._sent.add(message.digest)
        self.load.prompt_tokens += usage.prompt_tokens
        self.load.generated_tokens += usage.generated_tokens
        return Generation(message, usage, finish)

    async def _post(self, path: str, body: bytes, kind: str) -> httpx.Response:
        """Return a server's answer, asked again while it is busy."""
        if self._client is None:
            self._client = httpx.AsyncClient(**_options(self.endpoint), timeout=self._timeout_s)
        for attempt in range(TRIES):
            try:
                async with asyncio.timeout(self._timeout_s):
                    url, headers = _url(self.endpoint, path), {"Content-Type": kind}
                    async with self._client.stream("POST", url, content=body, headers=headers) as answer:
                        read = Body(self.endpoint.host)
                        async for chunk in answer.aiter_bytes():
                            read.add(chunk)
            except TimeoutError:
                raise BackendFailed(
                    f"{self.endpoint.host} took longer than {self._timeout_s:g} s (timeout_s)"
                ) from None
            except httpx.HTTPError as error:
                raise BackendFailed(
                    f"{self.endpoint.host} cannot be reached: {type(error).__name__}: {error}"
                ) from error
            answer = read.response(answer)
            if answer.status_code == 200:
                return answer
            if attempt + 1 == TRIES or (wait_s := later(answer, BACKOFF_S * 2**attempt)) is None:
                raise failure(answer, self.endpoint.host)
            await asyncio.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def _asked_now(self, path: str) -> dict[str, Any]:
        """Return what the server says of itself, before there is an event loop."""
        try:
            read = Body(self.endpoint.host)
            with httpx.stream(
                "GET", _url(self.endpoint, path), **_options(self.endpoint), timeout=CARD_TIMEOUT_S
            ) as opened:
                for chunk in opened.iter_bytes():
                    read.add(chunk)
            answer = read.response(opened)
            if answer.status_code != 200:
                raise failure(answer, self.endpoint.host)
            found = parse_json(answer.content)
        except httpx.HTTPError as error:
            raise ConfigError(f"{self.endpoint.host} cannot be reached: {type(error).__name__}: {error}") from error
        except ValueError as error:
            raise ConfigError(f"{self.endpoint.host} is no `debate serve`: its answer is no JSON") from error
        if not isinstance(found, dict):
            raise ConfigError(f"{self.endpoint.host} is no `debate serve`: its answer is no JSON object")
        return found

    def _end(self, task: "asyncio.Task[Generation]", request: Request) -> None:
        pending = self._calls.pop(task)
        self.load.waiting -= 1
        if task.cancelled():
            nothing = Message("", self._fingerprint, request.sampling.temperature)
            pending.finish(Generation(nothing, Usage(0, 0, 0), "cancelled"))
            return
        error = task.exception()
        if error is None:
            pending.push(task.result().message.text)
        elif not isinstance(error, DebateError):
            error = BackendFailed(f"{self.endpoint.host}: {type(error).__name__}: {error}")
        pending.finish(error or task.result())


def _other_than_asked(request: Request, message: Message, usage: Usage) -> str:
    """Return what in an answer is not what was asked for; "" where all is."""
    asked, most = request.sampling, request.sampling.max_tokens
    if (message.encoder is None) != (request.encoder is None):
        return "text where CIPHER was asked for" if message.encoder is None else "CIPHER where text was asked for"
    # The other machine's word is compared as it is: to read it as an encoder could import what it names.
    if request.encoder is not None and message.encoder != str(parse(request.encoder)):
        return f"the encoder {str(message.encoder)[:80]!r} where {request.encoder!r} was asked for"
    if abs(message.temperature - asked.temperature) > 1e-6 * max(1.0, asked.temperature):
        return f"temperature {message.temperature:g} where {asked.temperature:g} was asked for"
    if message.num_tokens > most or usage.generated_tokens > most + 1:
        return f"{max(message.num_tokens, usage.generated_tokens)} tokens where {most} were allowed"
    return ""


def _url(endpoint: Endpoint, path: str) -> str:
    return f"{endpoint.base_url.rstrip('/')}/{path}"


def _options(endpoint: Endpoint) -> Mapping[str, Any]:
    """Return how a server is reached; one on this machine not through a proxy."""
    headers = {"Authorization": f"Bearer {endpoint.key.value}"} if endpoint.key else {}
    return {"headers": headers, "trust_env": not endpoint.is_loopback}


def _is_local(base_url: str) -> bool:
    return find_endpoint(base_url, "none").is_loopback
