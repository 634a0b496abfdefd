"""The interface of every engine: requests in, messages out. Values here import no engine.

A backend is driven from one asyncio loop. `submit` does not wait; the returned `Pending` is awaited for the whole
generation, iterated for its pieces, or cancelled. A request ends with the same message whatever else the engine does
at the time (to the accuracy that the backend's documentation states).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from agents.errors import RequestError
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.signature import Signature

if TYPE_CHECKING:
    from torch import Tensor

    from agents.hearing_table import HearingTable
    from kernels import EmbeddingTable

CHARACTERS_A_TOKEN = 4
# Below it logits divided by it overflow float32.
LEAST_TEMPERATURE = 1e-6
Role = Literal["system", "user", "assistant"]
Part = str | Message
C = TypeVar("C")
# `filtered`: a server withheld what its content filter objects to.
FinishReason = Literal["stop", "length", "filtered", "cancelled"]


@dataclass(frozen=True)
class ChatTurn:
    """One turn of a prompt: text and messages in the order in which the model reads them.

    Attributes:
        role: whose turn it is.
        parts: text and messages.
        cue: words that precede an answer where the prompt is plain text; None: the prompt's.
    """

    role: Role
    parts: tuple[Part, ...]
    cue: str | None = None


@dataclass(frozen=True)
class Prompt:
    """What a model is shown.

    Attributes:
        turns: optional system turn, examples as user/assistant pairs, and the user turn to answer.
        cue: words that precede each answer when the prompt is plain text (a base model).
        close: text that follows each answer when the prompt is plain text, and so ends the one that is generated.
        format: `chat` uses the model's chat template, `plain` joins the turns with the cue, `auto` takes the template
            if the model has one.
    """

    turns: tuple[ChatTurn, ...]
    cue: str = "Answer:"
    close: str = ""
    format: Literal["auto", "chat", "plain"] = "auto"

    @classmethod
    def of(cls, *parts: Part) -> "Prompt":
        """Return a prompt of one user turn."""
        return cls((ChatTurn("user", parts),))


@dataclass(frozen=True)
class Sampling:
    """How a request is decoded.

    Attributes:
        temperature: temperature of the belief softmax(z / temperature), at least 1e-6; 0 means greedy.
        top_p, top_k: restrict the sampled tokens of a text request; a CIPHER request restricts by its encoder.
        max_tokens: maximum number of steps to generate.
        stop: strings that end the message where they begin.
        seed: random seed of the request; two requests with the same seed sample alike.
        top_beliefs: K, the number of tokens of each belief that a CIPHER message keeps.
        likelihood: say how likely a text is that was generated (`Generation.log_likelihood`); for backends with
            `Capabilities.scores`.
        ignore_eos: generate past the model's end tokens up to max_tokens, for measurements; refused where an API decides, and
            without effect on the mock.
    """

    temperature: float = 1.0
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    seed: int = 0
    top_beliefs: int = 8
    likelihood: bool = False
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise RequestError(f"temperature must be finite and at least 0; got {self.temperature}")
        if 0 < self.temperature < LEAST_TEMPERATURE:
            raise RequestError(f"temperature is 0, or at least {LEAST_TEMPERATURE:g}; got {self.temperature:g}")
        if self.max_tokens < 1:
            raise RequestError(f"max_tokens must be at least 1; got {self.max_tokens}")
        if "" in self.stop:
            raise RequestError("stop has an empty text, which would end every message at once; leave it out")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise RequestError(f"top_p must be in (0, 1]; got {self.top_p}")
        if self.top_k is not None and self.top_k < 1:
            raise RequestError(f"top_k must be at least 1; got {self.top_k}")
        if self.top_beliefs < 0:
            raise RequestError(f"top_beliefs must be at least 0; got {self.top_beliefs}")


@dataclass(frozen=True)
class Request:
    """One message to generate.

    Attributes:
        prompt: the prompt.
        sampling: options of decoding.
        encoder: None for text, else the encoder of the CIPHER vectors.
        adapter: a LoRA adapter's folder in peft's layout, for backends that can load one beside the model.
        choices: texts that are weighed as what comes next, in place of generating: the message is the likeliest, and
            `Generation.log_likelihoods` says how likely each is. For backends with `Capabilities.weighs`.
        hearers: other tables that a CIPHER message is rendered on from its whole beliefs. For backends with
            `Capabilities.renders`; the others keep the likeliest tokens alone.
        forced: a message that is read step by step in place of generating, at most `max_tokens` steps of it: what is asked for is
            what the model believes before each of them (`Generation.beliefs`). For backends with `Capabilities.forces`.
        tokens: token ids that are read as they stand, in place of a prompt and of generating: `Generation.read` says how likely
            each is. For backends with `Capabilities.weighs`.
        decoding: a way of decoding beyond sampling, e.g. `hso(steps=2)` (agents/decoding/rules.py). For backends with
            `Capabilities.decodes`.
    """

    prompt: Prompt
    sampling: Sampling = field(default_factory=Sampling)
    encoder: str | None = None
    adapter: str | None = None
    choices: tuple[str, ...] = ()
    hearers: tuple["HearingTable", ...] = ()
    forced: Message | None = None
    tokens: tuple[int, ...] = ()
    decoding: str | None = None

    def __post_init__(self) -> None:
        if self.forced is not None and (
            self.choices or self.tokens or self.encoder is not None or not self.forced.num_tokens
        ):
            raise RequestError(
                "a forced message has at least one token, and stands alone: no choices, no tokens, no encoder"
            )
        if self.tokens and (self.prompt.turns or self.choices or self.encoder is not None):
            raise RequestError("tokens are read as they stand: without a prompt, choices or an encoder")
        if self.choices and (self.encoder is not None or not all(self.choices)):
            raise RequestError("choices are texts that are weighed: none of them empty, and without an encoder")
        if self.encoder is not None and (self.sampling.top_p is not None or self.sampling.top_k is not None):
            raise RequestError(
                "top_p and top_k belong to text requests; a CIPHER request restricts its belief by its encoder, "
                "e.g. encoder: topp(p=0.9)"
            )

    @property
    def expected_tokens(self) -> int:
        """About how many positions it will take at most, to share load by: four characters of text a token."""
        length = 0
        for turn in self.prompt.turns:
            for part in turn.parts:
                length += len(part) // CHARACTERS_A_TOKEN if isinstance(part, str) else part.num_tokens
        return length + len(self.tokens) + self.sampling.max_tokens


@dataclass(frozen=True)
class TokenRead:
    """A token that was read, and what stood against it.

    Attributes:
        token: its id.
        log_likelihood: of it after those before it, in nats at temperature 1; None of the first, which nothing precedes.
        likeliest: id of the likeliest token there, the first of equals; None of the first.
        most: log-likelihood of that one.
    """

    token: int
    log_likelihood: float | None = None
    likeliest: int | None = None
    most: float | None = None


@dataclass(frozen=True)
class Usage:
    """What a request cost.

    Attributes:
        prompt_tokens: positions of the prompt, vectors included.
        cached_tokens: those of them that were not computed again.
        generated_tokens: steps decoded, the stop token included.
    """

    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int


@dataclass(frozen=True)
class Generation:
    """A finished request.

    Attributes:
        message: the message.
        usage: tokens that it cost.
        finish_reason: reason for its end.
        log_likelihoods: log-likelihood of each of the request's choices in nats, summed over its tokens; () without choices.
        signature: signature of the speaker over the message, where it has a key of its own.
        log_likelihood: log-likelihood of a text's generated tokens, its end token included, in nats at temperature 1, where its
            request asked for it.
        beliefs: [n, V] float32, log softmax(z) before each step of a forced message, at temperature 1; None of other requests.
        read: each of the request's tokens, and the likeliest one after them, of which the message is; () without tokens.
    """

    message: Message
    usage: Usage
    finish_reason: FinishReason
    log_likelihoods: tuple[float, ...] = ()
    signature: Signature | None = None
    log_likelihood: float | None = None
    beliefs: "Tensor | None" = field(default=None, repr=False, compare=False)
    read: tuple[TokenRead, ...] = ()


@dataclass(frozen=True)
class Capabilities:
    """What a backend can take and give.

    A CIPHER message goes to a backend without `vectors_in` as its reading; one that `weighs` takes requests with choices or
    tokens, one that `renders` those with other tables to render on, one that `forces` those with a forced message; one that
    `scores` says how likely its texts are; one that `signs` has agents with keys of their own behind it; one that `decodes` takes
    requests with a way of decoding, and `horizon` is how many tokens its model foretells of one state, 0 without a head for that.
    """

    text: bool = True
    vectors_in: bool = False
    vectors_out: bool = False
    adapters: bool = False
    weighs: bool = False
    renders: bool = False
    forces: bool = False
    scores: bool = False
    signs: bool = False
    decodes: bool = False
    horizon: int = 0
    context: int | None = None


@dataclass
class Load:
    """Running totals of a backend, for progress."""

    running: int = 0
    waiting: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0


def refuse_decoding(request: Request, engine: str) -> None:
    """For backends without `Capabilities.decodes`: raise RequestError where a request names a way of decoding."""
    if request.decoding is not None:
        raise RequestError(
            f"{engine} decodes in its own way alone, and the request asks for decoding {request.decoding}: use the backend "
            "transformers, or leave `decoding` out"
        )


def read_whole(tokens: Sequence[int], after: Sequence[TokenRead]) -> tuple[TokenRead, ...]:
    """Return `Generation.read`: the tokens of a request, and the likeliest one behind them.

    Args:
        tokens: of the request.
        after: what was found behind each of them, the last one's token being of no account.
    """
    *rest, last = after
    assert last.likeliest is not None
    return (TokenRead(tokens[0]), *rest, TokenRead(last.likeliest, last.most, last.likeliest, last.most))


def likeliest(choices: Sequence[C], log_likelihoods: Sequence[float]) -> C:
    """Return the choice with the highest log-likelihood, the first of equals."""
    return choices[max(range(len(log_likelihoods)), key=log_likelihoods.__getitem__)]


class Pending:
    """A request under way. Await it for the Generation; iterate it for the text as it grows; or cancel it."""

    def __init__(self) -> None:
        self._future: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        self._pieces: list[str] = []
        self._grew = asyncio.Event()
        self.is_cancelled = False
        self.is_followed = False
        self._cancel_with: Callable[[], None] = lambda: None

    def __await__(self) -> Generator[Any, None, Generation]:
        return self._future.__await__()

    async def __aiter__(self) -> AsyncIterator[str]:
        self.is_followed = True
        read = 0
        while True:
            self._grew.clear()
            while read < len(self._pieces):
                read += 1
                yield self._pieces[read - 1]
            if self._future.done():
                return
            await self._grew.wait()

    def cancel(self) -> None:
        """End the request at the next step; awaiting it then gives what was generated, as `cancelled`."""
        self.is_cancelled = True
        self._cancel_with()

    @property
    def is_done(self) -> bool:
        """Whether the generation or its error is there."""
        return self._future.done()

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call back when the generation or its error is there."""
        self._future.add_done_callback(lambda _: callback())

    def become(self, other: "Pending", change: Callable[[Generation], Generation]) -> None:
        """For agents: end as another request does, with its generation changed."""

        def finish() -> None:
            try:
                self.finish(change(other._future.result()))
            except (Exception, asyncio.CancelledError) as error:  # whoever waits must be told
                self.finish(error)

        self._cancel_with = other.cancel
        other.when_done(finish)

    def push(self, piece: str) -> None:
        """For backends: add text that was generated."""
        self._pieces.append(piece)
        self._grew.set()

    def finish(self, outcome: Generation | BaseException) -> None:
        """For backends: end the request with its generation or its error."""
        if self._future.done():
            return
        if isinstance(outcome, Generation):
            self._future.set_result(outcome)
        else:
            self._future.set_exception(outcome)
            if self.is_cancelled:
                # Nobody need wait for it any more: looked at, so that it is not reported as lost.
                self._future.exception()
        self._grew.set()


class Backend(ABC):
    """An engine that holds one model. Made by `create_backend`, closed with `await backend.close()`."""

    load: Load
    tokenizer: Any = None
    """The model's own; None where the engine keeps it to itself."""
    table: "EmbeddingTable | None" = None
    """What the model reads of each token; None where the engine keeps it to itself."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What it takes and gives."""

    @property
    @abstractmethod
    def fingerprint(self) -> ModelFingerprint:
        """The model that it holds."""

    @property
    def decoding(self) -> Mapping[str, Any]:
        """In which of its modes it decodes the model, for the record of a run; empty where it has but one."""
        return {}

    @abstractmethod
    def submit(self, request: Request) -> Pending:
        """Queue a request; must be called inside the event loop.

        Raises:
            RequestError: refused before it runs: too long, an unknown encoder, vectors that do not fit.
        """

    @abstractmethod
    async def close(self) -> None:
        """End the requests under way as cancelled and free the model."""
