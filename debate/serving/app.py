"""The endpoints: which request is answered by what. What is not here answers 404, in the form of OpenAI's errors."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agents.errors import DebateError
from agents.remote_request import FILE_TYPE, PLACE, RemoteRequest
from debate.access import Access
from debate.runtime.faults import GivenUp
from debate.runtime.observer import Observer
from debate.serving import replies
from debate.serving.asking import started
from debate.serving.debates import Job, Player
from debate.serving.errors import ApiError, as_api_error
from debate.serving.limits import Limits
from debate.serving.metrics import CONTENT_TYPE, Counters
from debate.serving.models import Catalogue
from debate.serving.openapi import description
from debate.serving.requests import Asked, ChatAsked, CompletionAsked, DetokenizeAsked, TokenizeAsked, parsed
from debate.serving.streams import JSON, Chunks, JobStream, done_or_gone, outcomes_or_gone, read_body
from debate.serving.tokens import Tokenizer, common_tokenizer, read_prompts, tokenizer_info
from debate.serving.vectors import Ears, card, speaking_agent, spoken, tokenizer_card

log = logging.getLogger("debate.serving")
# Of a client that did not wait for its answer; nobody reads it but the counters.
GONE = 499
HEALTH = "/health"


class Service:
    """A server's state and endpoints.

    Args:
        catalogue: the models.
        limits: what it allows.
        access: whom it answers.
        out: folder that debates are kept in; None to keep none.
        observer: told of every debate.
        keys: agent → public key, of debates elsewhere whose messages are heard only if they are signed; empty to hear anybody.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        limits: Limits,
        access: Access | None = None,
        out: Path | None = None,
        observer: Observer | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        self.catalogue, self._limits = catalogue, limits
        self._created, self._access = int(time.time()), access or Access()
        self._counters = Counters()
        self.player = Player(limits, self._counters, out, observer)
        self._ears = Ears(keys)
        self._counters.watch(lambda: self.player.admission.inside, lambda: self.player.admission.playing)
        self.app = Starlette(
            routes=[
                Route(HEALTH, self._health),
                Route("/metrics", self._metrics),
                Route("/openapi.json", self._openapi),
                Route("/v1/models", self._models),
                Route("/v1/models/{id:path}", self._model),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/completions", self._completions, methods=["POST"]),
                Route("/v1/cipher/agents/{id:path}", self._agent),
                Route("/v1/cipher/tokenizers/{id:path}", self._agents_tokenizer),
                Route("/v1/cipher/hear", self._hear, methods=["POST"]),
                Route("/v1/cipher/speak", self._speak, methods=["POST"]),
                Route("/tokenizer_info", self._tokenizer_info),
                Route("/tokenize", self._tokenize, methods=["POST"]),
                Route("/detokenize", self._detokenize, methods=["POST"]),
            ],
            middleware=[Middleware(_Door, self._access, self._counters)],
            exception_handlers=dict.fromkeys((ApiError, DebateError, GivenUp, ClientDisconnect), _failed)
            | {HTTPException: _no_such},
        )
        # A redirect would name the host that the client wrote, and leave TLS behind a proxy.
        self.app.router.redirect_slashes = False

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _metrics(self, request: Request) -> Response:
        return Response(self._counters.page(), headers={"Content-Type": CONTENT_TYPE})

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(description(bool(self._access.token)))

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._card(id) for id in self.catalogue.ids]})

    async def _model(self, request: Request) -> Response:
        return JSONResponse(self._card(self.catalogue.get(request.path_params["id"]).id))

    def _card(self, id: str) -> dict[str, object]:
        return {"id": id, "object": "model", "created": self._created, "owned_by": "cipher-debate"}

    async def _chat(self, request: Request) -> Response:
        asked = parsed(ChatAsked, await self._body(request))
        job = await started(self.catalogue, self.player, self._limits, asked)
        if asked.stream:
            return self._stream(job, replies.ChatChunks(job, asked))
        outcomes = await outcomes_or_gone(request, job)
        if outcomes is None:
            return Response(status_code=GONE)
        return _answer(job, replies.chat(job, outcomes[0], asked))

    async def _completions(self, request: Request) -> Response:
        asked = parsed(CompletionAsked, await self._body(request))
        if asked.is_reading:
            reading = read_prompts(self.catalogue.get(asked.model), self.player, self._limits, asked)
            body = await done_or_gone(request, asyncio.ensure_future(reading))
            return Response(status_code=GONE) if body is None else JSONResponse(body)
        job = await started(self.catalogue, self.player, self._limits, asked)
        before = [question.text for question in job.questions] if asked.echo else [""] * len(asked.prompts)
        if asked.stream:
            return self._stream(job, replies.CompletionChunks(job, asked, before[0]))
        outcomes = await outcomes_or_gone(request, job)
        if outcomes is None:
            return Response(status_code=GONE)
        return _answer(job, replies.completion(job, outcomes, asked, before))

    async def _body(self, request: Request, kind: str = JSON) -> bytes:
        return await read_body(request, self._limits.max_body, self._limits.read_s, kind)

    async def _agent(self, request: Request) -> Response:
        return JSONResponse(card(self.catalogue.get(request.path_params["id"]), self._limits))

    async def _agents_tokenizer(self, request: Request) -> Response:
        return JSONResponse(tokenizer_card(self.catalogue.get(request.path_params["id"]), self._limits))

    async def _hear(self, request: Request) -> Response:
        agent = speaking_agent(self.catalogue.get(request.query_params.get("model", "")), self._limits)
        message = self._ears.hear(await self._body(request, FILE_TYPE), request.headers.get(PLACE), agent)
        return JSONResponse({"digest": message.digest, "tokens": message.num_tokens})

    async def _speak(self, request: Request) -> Response:
        asked = parsed(RemoteRequest, await self._body(request))
        speaking = spoken(asked, self.catalogue.get(asked.model), self._ears, self.player, self._limits)
        found = await done_or_gone(request, asyncio.ensure_future(speaking))
        if found is None:
            return Response(status_code=GONE)
        blob, headers = found
        return Response(blob, media_type=FILE_TYPE, headers=headers)

    async def _tokenizer_info(self, request: Request) -> Response:
        return JSONResponse(tokenizer_info(self._tokenizer(request.query_params.get("model"))))

    async def _tokenize(self, request: Request) -> Response:
        asked = parsed(TokenizeAsked, await self._body(request))
        tokenizer = self._tokenizer(asked.model)

        def answer() -> Response:
            ids = tokenizer.ids(asked.prompt, special=asked.add_special_tokens)
            return JSONResponse({"tokens": ids, "count": len(ids)})

        return await self.player.long_texts.read(len(asked.prompt), answer)

    async def _detokenize(self, request: Request) -> Response:
        asked = parsed(DetokenizeAsked, await self._body(request))
        tokenizer = self._tokenizer(asked.model)
        text = await self.player.long_texts.read(len(asked.tokens), lambda: tokenizer.text(asked.tokens))
        return JSONResponse({"prompt": text})

    def _tokenizer(self, model: str | None) -> Tokenizer:
        """Return the tokenizer of a model's deciding agent, or the only one that is served."""
        models = self.catalogue.models if model is None else [self.catalogue.get(model)]
        return common_tokenizer([found.plan(Asked(model=found.id), self._limits) for found in models])

    def _stream(self, job: Job, chunks: Chunks) -> Response:
        return JobStream(job, chunks, heartbeat_s=self._limits.heartbeat_s, send_s=self._limits.read_s, report=_report)


def _answer(job: Job, body: dict[str, object]) -> Response:
    return JSONResponse(body, headers={"X-Debate-Id": job.id})


async def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=GONE)
    known = as_api_error(error)
    if known.status == 500:
        _report(error)
    return JSONResponse(known.body, status_code=known.status, headers=known.headers)


async def _no_such(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    if error.status_code == 405:
        sentence = (
            f"{path} does not take {request.method}; it takes {(error.headers or {}).get('Allow', 'another method')}"
        )
    else:
        sentence = f"there is no {path} here; see docs/serving.md for what is"
    known = ApiError(
        error.status_code, sentence, code="not_found" if error.status_code == 404 else "method_not_allowed"
    )
    return JSONResponse(known.body, status_code=known.status, headers=error.headers)


def _report(error: BaseException) -> None:
    log.error("a request failed over a fault of the server", exc_info=error)


@dataclass
class _Door:
    """Lets in whom the server answers, turns every exception into a response, and counts responses."""

    app: ASGIApp
    access: Access
    counters: Counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, status = _counted(scope["path"]), 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = None if scope["path"] == HEALTH else self.access.refusal(headers)
        try:
            if refusal is None:
                await self.app(scope, receive, counted)
            elif self.access.token:
                known = ApiError(401, refusal, code="invalid_api_key")
                response = JSONResponse(known.body, status_code=401, headers={"WWW-Authenticate": "Bearer"})
                await response(scope, receive, counted)
            else:
                known = ApiError(403, refusal, code="wrong_host")
                await JSONResponse(known.body, status_code=403)(scope, receive, counted)
        except Exception as error:
            if status:
                raise
            await (await _failed(Request(scope), error))(scope, receive, counted)
        finally:
            self.counters.answered(path, status or GONE)


PATHS = (
    HEALTH, "/metrics", "/v1/models", "/v1/chat/completions", "/v1/completions", "/tokenizer_info", "/tokenize", "/detokenize",
    "/v1/cipher/hear", "/v1/cipher/speak",
)  # fmt: skip


def _counted(path: str) -> str:
    """Return a path as it is counted: those that are not here together, so that nobody fills the memory with names."""
    if path in PATHS:
        return path
    return next((f"{start}…" for start in ("/v1/models/", "/v1/cipher/") if path.startswith(start)), "other")
