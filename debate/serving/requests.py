"""Bodies of requests, checked: what is asked, of which model, how it is to be answered."""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from agents.json_text import named_once
from debate.serving.errors import ApiError


class Checked(Protocol):
    """A body that says by itself what is wrong with it."""

    def check(self) -> None:
        """Raise ApiError where something is asked that is not done."""

    @classmethod
    def model_validate(cls, obj: Any) -> Self:
        """Return the body of a mapping."""


M = TypeVar("M", bound=Checked)

# What says nothing about the answer.
ASIDE = (
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "parallel_tool_calls",
)  # fmt: skip
# What an answer has to look like; of the first, `{"type": "text"}` asks for nothing.
FORMS = ("response_format", "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar")
# Chat interfaces ask for titles, tags and follow-up questions in the background, by prompts that begin so (Open WebUI).
BACKGROUND = "### Task:"
Text = Annotated[str, StringConstraints(strict=True)]
# Of a key that stands twice nobody knows which is meant.
_ONCE = named_once("the key {!r} stands twice; give it once")


def _no_truth(given: Any) -> Any:
    if isinstance(given, bool):
        raise PydanticCustomError("truth_value", "Input should be a whole number, not true or false")
    return given


Whole = Annotated[int, BeforeValidator(_no_truth)]


class Overrides(BaseModel):
    """The key `debate` of a request: what it changes about the config."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rounds: int | None = Field(default=None, ge=1, le=10_000)
    method: str | None = Field(default=None, min_length=1, max_length=200)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    temperature: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None = None
    id: str | None = Field(default=None, min_length=1, max_length=200)


class StreamOptions(BaseModel):
    """How a stream ends."""

    include_usage: bool = False


class Asked(BaseModel):
    """What every kind of request has."""

    model_config = ConfigDict(extra="allow")
    REFUSED: ClassVar[dict[str, str]] = {}

    model: Text
    stream: bool = False
    stream_options: StreamOptions | None = None
    seed: Whole | None = Field(default=None, ge=-(2**63), lt=2**63)
    max_tokens: Whole | None = Field(default=None, ge=1)
    max_completion_tokens: Whole | None = Field(default=None, ge=1)
    stop: Text | list[Text] | None = None
    n: Whole | None = None
    debate: Overrides = Field(default_factory=Overrides)

    @property
    def longest(self) -> int | None:
        """Tokens that a message may have at most, as far as the request says."""
        given = [limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None]
        return min(given) if given else None

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts before which the answer is cut."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def drawn_seed(self) -> int | None:
        """The seed, if one is given; negative ones, which other servers take, count from the other end."""
        if self.debate.seed is not None:
            return self.debate.seed
        return None if self.seed is None else self.seed % 2**63

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with what it cost."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def ignored(self) -> list[str]:
        """Keys that were given and change nothing."""
        known = {*ASIDE, *FORMS, *self.REFUSED, "modalities"}
        given = (self.model_extra or {}).items()
        return sorted(key for key, value in given if key not in known and value not in ([], {}) and _is_said(value))

    def check(self) -> None:
        """Raise ApiError where something is asked that is not done."""
        if self.n not in (None, 1):
            raise _refused("n", f"n is {self.n}; a request has one answer: ask again with another seed")
        if len(self.stops) > 16 or "" in self.stops:
            raise _refused("stop", "stop has up to 16 texts, none of them empty")
        extra = self.model_extra or {}
        for key in ("rounds", "method"):
            if _is_said(extra.get(key)):
                raise _refused(key, f'{key} is a key of debate: send "debate": {{"{key}": …}}')
        for key in FORMS:
            if _is_said(extra.get(key)) and (key, extra[key]) != ("response_format", {"type": "text"}):
                raise _refused(key, f"a debate answers in plain text; leave {key} out")
        for key, sentence in self.REFUSED.items():
            value = extra.get(key)
            if value not in (None, False, [], {}, 0, "none", "auto"):
                raise _refused(key, sentence)


class Part(BaseModel):
    """A piece of a message."""

    type: str
    text: str | None = None


class Said(BaseModel):
    """A message of a conversation."""

    role: str
    content: Text | list[Part] | None = None

    @property
    def text(self) -> str:
        """The text."""
        if isinstance(self.content, str):
            return self.content
        if stray := next((part.type for part in self.content or () if part.type != "text" or part.text is None), None):
            raise _refused("messages", f"a message has a part of type {stray[:40]!r}; only text is debated")
        return "".join(part.text or "" for part in self.content or ())


class ChatAsked(Asked):
    """A request of /v1/chat/completions."""

    REFUSED = {
        "tool_choice": "a debate calls no tools; leave tool_choice out, or say auto",
        "function_call": "a debate calls no functions; leave function_call out, or say auto",
        "logprobs": "a debate has no log-probabilities of its answer; leave logprobs out",
        "top_logprobs": "a debate has no log-probabilities of its answer; leave top_logprobs out",
        "audio": "only text is debated; leave audio out",
    }  # fmt: skip
    messages: list[Said] = Field(min_length=1)

    def check(self) -> None:
        """Raise ApiError where something is asked that is not done."""
        super().check()
        if (self.model_extra or {}).get("modalities") not in (None, ["text"]):
            raise _refused("modalities", "a debate answers in text; leave modalities out")
        for said in self.messages:
            if said.role not in ("system", "developer", "user", "assistant"):
                raise _refused("messages", f"role {said.role[:40]!r}: choose system, developer, user or assistant")
        if self.messages[-1].role != "user":
            raise _refused(
                "messages", f"the last message is the {self.messages[-1].role}'s; end with the user's question"
            )
        if not self.question.strip():
            raise _refused("messages", "the last message is empty; write what is to be debated")

    @property
    def instructions(self) -> str:
        """What system messages say, to every agent."""
        return "\n".join(said.text for said in self.messages if said.role in ("system", "developer")).strip()

    @property
    def question(self) -> str:
        """The last message, with the earlier ones of the conversation before it."""
        *earlier, last = (said for said in self.messages if said.role in ("user", "assistant"))
        if not earlier:
            return last.text
        lines = [f"{said.role.capitalize()}: {said.text.strip()}" for said in earlier]
        return "\n\n".join(["Earlier in this conversation:", *lines, "Now:", last.text])

    @property
    def is_background(self) -> bool:
        """Whether a chat interface asks it for itself: a title, tags, what might be asked next.

        Whoever says how to debate does not.
        """
        if self.debate.method is not None or self.debate.rounds is not None:
            return False
        return self.messages[-1].text.lstrip().startswith(BACKGROUND)


class CompletionAsked(Asked):
    """A request of /v1/completions."""

    REFUSED = {"suffix": "a debate does not fill in before a suffix; leave suffix out"}
    prompt: Any
    echo: bool = False
    best_of: Whole | None = None
    logprobs: Whole | None = None

    @property
    def is_reading(self) -> bool:
        """Whether it asks how likely its own tokens are: `echo`, `logprobs`, and nothing or one token to be said."""
        return self.logprobs is not None and self.echo and self.longest == 1

    def check(self) -> None:
        """Raise ApiError where something is asked that is not done."""
        super().check()
        if self.best_of not in (None, 1):
            raise _refused("best_of", f"best_of is {self.best_of}; a prompt has one answer")
        if self.logprobs is not None and not (self.is_reading and self.logprobs == 1 and not self.stream):
            raise _refused(
                "logprobs",
                "a debate has no log-probabilities of its answer; those of a prompt's own tokens are told for logprobs: 1 with "
                "echo: true and max_tokens: 1, without stream",
            )
        prompts = self.prompts
        if not prompts or not all(_is_prompt(prompt) for prompt in prompts):
            raise _refused("prompt", "prompt is a text, tokens, or a list of either, none of them empty")
        if self.stream and len(prompts) > 1:
            raise _refused("prompt", f"a stream of {len(prompts)} prompts; stream one, or ask without stream")

    @property
    def prompts(self) -> Sequence[str | list[int]]:
        """The prompts: texts, or token ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if not isinstance(self.prompt, list):
            return []
        return [self.prompt] if _is_tokens(self.prompt) else self.prompt


class TokenizeAsked(BaseModel):
    """A request of /tokenize."""

    model_config = ConfigDict(extra="allow")

    prompt: Text
    model: Text | None = None
    add_special_tokens: bool = False

    def check(self) -> None:
        """Nothing more is asked of it."""


class DetokenizeAsked(BaseModel):
    """A request of /detokenize."""

    model_config = ConfigDict(extra="allow")

    tokens: list[Annotated[int, Field(strict=True, ge=0, lt=2**31)]]
    model: Text | None = None

    def check(self) -> None:
        """Nothing more is asked of it."""


def _is_said(given: Any) -> bool:
    return given is not None and given is not False


def _is_prompt(given: Any) -> bool:
    return _is_tokens(given) or (isinstance(given, str) and bool(given.strip()))


def _is_tokens(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(type(token) is int and 0 <= token < 2**31 for token in given)


def parsed(kind: type[M], body: bytes) -> M:
    """Return a request.

    Raises:
        ApiError: 400, it is not one, with the key that is wrong.
    """
    try:
        raw = json.loads(body, parse_constant=_no_number, object_pairs_hook=_ONCE)
        # Half a character, which JSON can spell, is no text.
        json.dumps(raw, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise ApiError(400, "the body holds half a character; send valid Unicode", code="invalid_json") from error
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is no JSON: {str(error)[:200]}", code="invalid_json") from error
    if not isinstance(raw, dict):
        raise ApiError(400, "the body is no JSON object", code="invalid_json")
    return checked(kind, raw)


def checked(kind: type[M], raw: dict[str, Any]) -> M:
    """Return a request that was read already.

    Raises:
        ApiError: 400, it is none, with the key that is wrong.
    """
    if raw.get("debate", {}) is None:
        del raw["debate"]
    try:
        asked = kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"][:4])
        known = f" Known: {', '.join(Overrides.model_fields)}." if first["type"] == "extra_forbidden" else ""
        raise _refused(place[:200], f"{place[:200]}: {first['msg']}.{known}") from error
    asked.check()
    return asked


def question_id(asked: Asked, instructions: str, text: str) -> str:
    """Return the id of a question, from which with the seed all that is drawn follows: given, or made of what is asked."""
    if asked.debate.id is not None:
        return asked.debate.id
    return "request-" + hashlib.sha256(json.dumps([instructions, text]).encode()).hexdigest()[:16]


def _no_number(text: str) -> Literal[0]:
    raise ValueError(f"{text} is no number of JSON")


def _refused(param: str, sentence: str) -> ApiError:
    return ApiError(400, sentence, code="invalid_value", param=param)
