"""Request → what chat completions are asked; answer → text, counts and reason. No connection here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from openai.types.chat import ChatCompletion

from agents.backend import FinishReason, Request, Usage, refuse_decoding
from agents.errors import ConfigError, RequestError
from agents.json_text import parse_json
from agents.message import Message
from agents.valid_text import valid_text, without_half

TokenLimit = Literal["max_tokens", "max_completion_tokens"]
# Of the protocol; a debate sets them, and two values for one would be a riddle.
OURS = frozenset(
    {
        "model", "messages", "temperature", "top_p", "top_k", "seed", "stop", "n", "stream", "stream_options",
        "max_tokens", "max_completion_tokens",
    }
)  # fmt: skip
# Some servers are written in languages whose numbers are doubles, and some hold seeds in 32 bits.
SEED_BITS = 31
# English text has about four characters a token; only for the reservation that the server's count corrects.
CHARACTERS_PER_TOKEN = 4
# Of one answer; more is a mistake of the server's.
MOST_TOKENS = 1 << 40
# Characters of an answer, thinking included: more than any model says at once, and what a journal's record holds in any script.
LONGEST_TEXT = 1 << 22
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "filtered",
    # No tools are offered; what was said beside a call is the message.
    "tool_calls": "stop",
    "function_call": "stop",
}
FAILED_REASONS = ("error", "abort")


class BrokenReply(Exception):
    """An answer that is not one: no choice in it, no reason why it ended, not of the protocol."""


@dataclass
class Reply:
    """What the server said so far.

    Attributes:
        text: of the message.
        half: what follows it where an answer in pieces was cut within a character.
        thinking: what a reasoning model thought before, where the server tells it apart.
        finish: why it ended; None while it has not.
        usage: as counted by the server; None where it did not say.
    """

    text: str = ""
    thinking: str = ""
    finish: str | None = None
    usage: Usage | None = None
    half: str = ""

    def add(self, piece: str) -> None:
        """Add to the text."""
        piece = self.half + piece
        whole = without_half(piece)
        self.half = piece[len(whole) :]
        self.text += valid_text(whole)

    def refuse_too_long(self) -> None:
        """Raise BrokenReply for more words than an answer has."""
        if len(self.text) + len(self.thinking) > LONGEST_TEXT:
            raise BrokenReply(f"the answer has more than {LONGEST_TEXT:,} characters, which none has")

    @property
    def finish_reason(self) -> FinishReason:
        """Why it ended, in our words.

        Raises:
            BrokenReply: it did not end, ended in an error, or for a reason that nobody knows.
        """
        if self.finish is None:
            raise BrokenReply("the answer broke off: it has no finish_reason")
        if self.finish in FAILED_REASONS:
            raise BrokenReply(f"the server ended the answer with finish_reason {self.finish!r}")
        if self.finish not in _REASONS:
            raise BrokenReply(f"unknown finish_reason {self.finish!r}. Known: {', '.join(_REASONS)}")
        return _REASONS[self.finish]


def checked_extra(extra_body: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the extra fields of every request.

    Raises:
        ConfigError: no mapping, or a field that the debate sets.
    """
    if extra_body is None:
        return {}
    if not isinstance(extra_body, Mapping):
        raise ConfigError(f"extra_body: a mapping of request fields; got {extra_body!r}")
    if taken := sorted(OURS & set(extra_body)):
        raise ConfigError(
            f"extra_body: {', '.join(taken)} is set by the debate; use the agent's own keys (temperature, top_p, top_k), "
            "max_tokens, stop and seed"
        )
    return dict(extra_body)


def body(
    request: Request, model: str, *, token_limit: TokenLimit, sends_top_k: bool, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of a request; messages of others stand in it as text, CIPHER ones as their reading.

    Raises:
        RequestError: it asks for what cannot be had this way.
    """
    sampling = request.sampling
    refuse_decoding(request, f"{model} is behind an API, which")
    if request.encoder is not None:
        raise RequestError(
            f"{model} is behind an API and speaks text only, but a CIPHER message ({request.encoder}) was asked of it. "
            "In a config give its agent encoder: none; on the command line --encoder text."
        )
    if request.choices or request.tokens or sampling.ignore_eos:
        asked = (
            "weigh choices or tokens" if request.choices or request.tokens else "go on past its end tokens (ignore_eos)"
        )
        raise RequestError(f"{model} is behind an API, which cannot be asked to {asked}; the local engines can")
    if request.prompt.format == "plain":
        raise RequestError(f"{model} is reached by chat completions, which take turns only: use format: chat, or auto")
    if sampling.top_k is not None and not sends_top_k:
        raise RequestError(
            f"top_k is {sampling.top_k}, which is not a field of OpenAI's protocol. If the server supports it (vllm serve and "
            "OpenRouter do), set the option sends_top_k: true; otherwise restrict the belief by top_p."
        )
    fields: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": turn.role, "content": "".join(p.text if isinstance(p, Message) else p for p in turn.parts)}
            for turn in request.prompt.turns
        ],
        "temperature": sampling.temperature,
        "seed": sampling.seed % (1 << SEED_BITS),
        token_limit: sampling.max_tokens,
    }
    if sampling.top_p is not None:
        fields["top_p"] = sampling.top_p
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    top_k = {} if sampling.top_k is None else {"top_k": sampling.top_k}
    if beyond := {**extra, **top_k}:
        fields["extra_body"] = beyond
    return fields


def guessed_tokens(request: Request) -> float:
    """Return about how many tokens a request may cost, prompt and answer."""
    parts = (part for turn in request.prompt.turns for part in turn.parts)
    characters = sum(len(part.text if isinstance(part, Message) else part) for part in parts)
    return characters / CHARACTERS_PER_TOKEN + request.sampling.max_tokens


def completion(body: bytes) -> Any:
    """Return a whole answer as the client's library has it, unchecked: of its choices the first, which alone is read.

    Raises:
        ValueError: it is no JSON.
    """
    found = parse_json(body)
    if not isinstance(found, dict):
        return found
    choices = found.get("choices")
    if isinstance(choices, list):
        found["choices"] = choices[:1]
    return ChatCompletion.construct(**found)


def read_reply(completion: Any) -> Reply:
    """Return what a whole answer holds.

    Raises:
        BrokenReply: it is not an answer of the protocol.
    """
    try:
        choice = completion.choices[0]
        message, finish = choice.message, choice.finish_reason
        # A model that declines says so in a field of its own.
        text = message.content or getattr(message, "refusal", None) or ""
    except (AttributeError, LookupError, TypeError) as error:
        raise BrokenReply(f"the server's answer has no choices to read: {_beginning(completion)}") from error
    if not isinstance(text, str):
        raise BrokenReply(f"the answer's content is a {type(text).__name__}, not text")
    _check_finish(finish)
    reply = Reply("", _thinking(message), finish, _usage(getattr(completion, "usage", None)))
    reply.add(text)
    reply.refuse_too_long()
    return reply


def _thinking(message: Any) -> str:
    """Return what a server tells of a reasoning model's thinking: vLLM, DeepSeek and others do by a field of their own."""
    found = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    return found if isinstance(found, str) else ""


def add_chunk(reply: Reply, chunk: Any) -> None:
    """Add a piece of a streamed answer; the last one has the counts and no choice.

    Raises:
        BrokenReply: it is not a piece of the protocol.
    """
    try:
        for choice in chunk.choices or ():
            reply.thinking += _thinking(choice.delta)
            reply.add(choice.delta.content or getattr(choice.delta, "refusal", None) or "")
            _check_finish(choice.finish_reason)
            reply.refuse_too_long()
            reply.finish = choice.finish_reason or reply.finish
        reply.usage = _usage(chunk.usage) or reply.usage
    except (AttributeError, TypeError) as error:
        raise BrokenReply(f"a piece of the server's answer cannot be read: {_beginning(chunk)}") from error


def _usage(counted: Any) -> Usage | None:
    """Return the server's counts; cached tokens are 0 where it does not tell them apart."""
    if counted is None:
        return None
    details = getattr(counted, "prompt_tokens_details", None)
    return Usage(
        prompt_tokens=_count(counted, "prompt_tokens"),
        cached_tokens=_count(details, "cached_tokens"),
        generated_tokens=_count(counted, "completion_tokens"),
    )


def _count(counted: Any, name: str) -> int:
    """Return a count; 0 where the server leaves it out.

    Raises:
        BrokenReply: it is no number of tokens, and counted costs would be wrong.
    """
    count = getattr(counted, name, None)
    if count is None:
        return 0
    if isinstance(count, bool) or not isinstance(count, int | float) or not 0 <= count <= MOST_TOKENS or count % 1:
        raise BrokenReply(f"the server's {name} is no count of tokens: {_beginning(count)}")
    return int(count)


def _check_finish(reason: Any) -> None:
    if reason is not None and not isinstance(reason, str):
        raise BrokenReply(f"the answer's finish_reason is a {type(reason).__name__}, not text")


def _beginning(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 120 else f"{text[:120]}…"
