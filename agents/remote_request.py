"""A request to an agent on another machine as JSON: what `POST /v1/cipher/speak` takes. Messages in it are named by digest.

The messages themselves, CIPHER vectors included, were sent before, each as the safetensors file that it is on disk
(`agents/message_file.py`), by `POST /v1/cipher/hear`; what comes back is another such file.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.backend import ChatTurn, Part, Prompt, Request, Sampling, Usage, refuse_decoding
from agents.errors import RequestError
from agents.message import Message
from kernels.encoders.registry import names, parse
from kernels.names import parse_named

FORMAT = 1
# Headers of the answer, beside the message's own file.
USAGE, FINISH = "X-Cipher-Usage", "X-Cipher-Finish"
# Header of a message that is signed for a place.
PLACE = "X-Cipher-Place"
FILE_TYPE = "application/octet-stream"

_STRICT = ConfigDict(extra="forbid", strict=True)
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Text(BaseModel):
    model_config = _STRICT
    text: str


class _Heard(BaseModel):
    model_config = _STRICT
    heard: Digest


class _Turn(BaseModel):
    model_config = _STRICT
    role: Literal["system", "user", "assistant"]
    parts: list[_Text | _Heard] = Field(min_length=1)
    cue: str | None = None


class _Prompt(BaseModel):
    model_config = _STRICT
    turns: list[_Turn] = Field(min_length=1)
    cue: str
    close: str
    format: Literal["auto", "chat", "plain"]


class _Sampling(BaseModel):
    model_config = _STRICT
    temperature: float = Field(ge=0, le=1000, allow_inf_nan=False)
    top_p: float | None
    top_k: int | None
    max_tokens: int = Field(ge=1, lt=2**31)
    stop: list[str] = Field(max_length=64)
    seed: int = Field(ge=0, lt=2**63)
    top_beliefs: int = Field(ge=0, le=1000)
    ignore_eos: bool


class RemoteRequest(BaseModel):
    """The body of a request to speak.

    Attributes:
        model: the agent's id at its server.
        encoder: None for text.
    """

    model_config = _STRICT

    format: Literal[1]
    model: str
    prompt: _Prompt
    sampling: _Sampling
    encoder: Annotated[str, Field(max_length=1000)] | None

    def check(self) -> None:
        """Nothing more is asked of it."""

    @property
    def heard(self) -> list[str]:
        """The digests of the messages in its prompt, each once, in order."""
        found = [part.heard for turn in self.prompt.turns for part in turn.parts if isinstance(part, _Heard)]
        return list(dict.fromkeys(found))

    def request(self, messages: Mapping[str, Message]) -> Request:
        """Return the request, with its messages put in their places.

        Args:
            messages: digest → message, of all that it names.

        Raises:
            RequestError: options that do not go together, or no encoder by name.
        """
        if self.encoder is not None:
            _refuse_encoder(self.encoder)
        turns = tuple(
            ChatTurn(
                turn.role,
                tuple(part.text if isinstance(part, _Text) else messages[part.heard] for part in turn.parts),
                cue=turn.cue,
            )
            for turn in self.prompt.turns
        )
        said = self.sampling.model_dump()
        sampling = Sampling(**{**said, "stop": tuple(said["stop"])})
        prompt = Prompt(turns, cue=self.prompt.cue, close=self.prompt.close, format=self.prompt.format)
        return Request(prompt, sampling, self.encoder)


def _refuse_encoder(encoder: str) -> None:
    """Raise RequestError for what is no encoder by name: a path would import whatever it names."""
    try:
        named = parse_named(encoder, "encoder")
        if named.name not in names():
            raise RequestError(f"unknown encoder {named.name[:40]!r}; known here: {', '.join(names())}")
        parse(encoder)
    except RequestError:
        raise
    except (ValueError, OverflowError) as error:
        raise RequestError(f"encoder: {str(error)[:200]}") from error


def request_body(request: Request, model: str) -> dict[str, Any]:
    """Return a request as JSON values.

    Args:
        request: the request.
        model: the agent's id at its server.

    Raises:
        RequestError: it asks for what is not asked of another machine.
    """
    refuse_decoding(request, f"{model} is on another machine, which")
    special = request.choices or request.tokens or request.forced or request.sampling.likelihood
    if special or request.adapter is not None or request.hearers:
        raise RequestError(
            f"{model} is on another machine, which is asked for messages alone: not to weigh options or texts, to load an "
            "adapter, or to render on other tables"
        )
    prompt, sampling = request.prompt, request.sampling
    asked = {name: value for name, value in vars(sampling).items() if name in _Sampling.model_fields}
    return {
        "format": FORMAT,
        "model": model,
        "prompt": {
            "turns": list(map(_turn, prompt.turns)),
            "cue": prompt.cue,
            "close": prompt.close,
            "format": prompt.format,
        },
        "sampling": {**asked, "temperature": float(sampling.temperature), "stop": list(sampling.stop)},
        "encoder": request.encoder,
    }


def messages_of(request: Request) -> dict[str, Message]:
    """Return the messages in a request's prompt by digest."""
    return {part.digest: part for turn in request.prompt.turns for part in turn.parts if isinstance(part, Message)}


def read_usage(fields: Any) -> Usage:
    """Return what a remote request cost.

    Raises:
        ValueError: it is no such thing.
    """
    names = ("prompt_tokens", "cached_tokens", "generated_tokens")
    if not isinstance(fields, dict) or set(fields) != set(names):
        raise ValueError("no usage")
    counts = [fields[name] for name in names]
    if not all(type(count) is int and 0 <= count < 2**40 for count in counts):
        raise ValueError("no counts")
    return Usage(*counts)


def _turn(turn: ChatTurn) -> dict[str, Any]:
    found = {"role": turn.role, "parts": list(map(_part, turn.parts))}
    return found if turn.cue is None else {**found, "cue": turn.cue}


def _part(part: Part) -> dict[str, str]:
    return {"text": part} if isinstance(part, str) else {"heard": part.digest}
