"""Texts as a model's tokens, and how likely a model finds the tokens of a prompt: no debate, one model alone.

These are the endpoints that lm-evaluation-harness asks of a server (`local-completions`), in the form that vLLM gave them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.backend import Prompt, Request, TokenRead
from agents.speakers.agent import Agent
from agents.tokenizers import tokenizer_of
from debate.serving.debates import Player
from debate.serving.engines import answered_by
from debate.serving.errors import ApiError
from debate.serving.limits import Limits
from debate.serving.models import Plan, ServedModel
from debate.serving.requests import CompletionAsked

# What a client may want to know of a tokenizer, as its files call it.
FACTS = ("bos_token", "eos_token", "pad_token", "unk_token", "chat_template")


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer, for clients.

    Attributes:
        own: the model's.
        size: number of tokens that the model has.
    """

    own: Any
    size: int

    def ids(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of a text, in which a control token's name is the token; with those around it if `special`."""
        return list(map(int, self.own(text, add_special_tokens=special).input_ids))

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens.

        Raises:
            ApiError: 400, one that it does not have.
        """
        self.check(tokens)
        return str(self.own.decode(list(tokens)))

    def check(self, tokens: Sequence[int]) -> None:
        """Raise ApiError where one of some tokens is none of its."""
        if tokens and max(tokens) >= self.size:
            raise ApiError(400, f"token {max(tokens)} is beyond the model's {self.size}", param="tokens")


def common_tokenizer(plans: Sequence[Plan]) -> Tokenizer:
    """Return the tokenizer of the deciding agents of some plans.

    Raises:
        ApiError: 400, they have several, or none that is known.
    """
    known = {plan.decider.backend.fingerprint.tokenizer: plan for plan in plans}
    if len(known) > 1:
        raise ApiError(
            400,
            f"models of {len(known)} tokenizers are served: say which by model",
            code="which_tokenizer",
            param="model",
        )
    (plan,) = known.values()
    own = tokenizer_of(plan.decider.backend)
    if own is None:
        raise ApiError(
            400, f"the tokenizer of agent {plan.decider.name!r} is not known here", code="no_tokenizer", param="model"
        )
    return Tokenizer(own, plan.decider.backend.fingerprint.vocabulary)


def tokenizer_info(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what clients ask of a tokenizer."""
    facts = {name: getattr(tokenizer.own, name, None) for name in FACTS}
    return {"tokenizer_class": type(tokenizer.own).__name__} | {
        name: value if isinstance(value, str) else None for name, value in facts.items()
    }


def texts_of(asked: CompletionAsked, plan: Plan, most: int) -> list[str]:
    """Return the prompts of a request as texts; tokens are the deciding agent's.

    Args:
        asked: the request.
        plan: what it plays.
        most: characters of one, which a few tokens may spell many of.

    Raises:
        ApiError: 400, tokens of a tokenizer that is not known, or which it does not have; 413, too long a text.
    """
    texts = [prompt if isinstance(prompt, str) else common_tokenizer([plan]).text(prompt) for prompt in asked.prompts]
    if not all(text.strip() for text in texts):
        raise ApiError(400, "prompt: tokens that are no text", param="prompt")
    if (longest := max(map(len, texts))) > most:
        raise ApiError(
            413,
            f"the prompt's tokens are a text of {longest} characters, and this server takes {most}; send fewer",
            code="body_too_large",
            param="prompt",
        )
    return texts


async def read_prompts(model: ServedModel, player: Player, limits: Limits, asked: CompletionAsked) -> dict[str, Any]:
    """Return how likely an agent's model finds each token of some prompts, and the likeliest one after them.

    The prompt is what the model reads as it stands: neither the config's prompts nor a debate are around it.

    Args:
        model: one agent alone.
        player: with the places of debates, of which this takes one a prompt.
        limits: of the server.
        asked: the request.

    Raises:
        ApiError: 400, a debate is asked, or an agent that has no likelihoods.
    """
    plan = model.plan(asked, limits)
    if model.agent is None or not isinstance(plan.decider, Agent) or not plan.decider.backend.capabilities.weighs:
        raise ApiError(
            400,
            f"{model.id} has no log-probabilities of a prompt: they are of one agent's model alone, asked as CONFIG/AGENT, on "
            "the backends transformers, vllm and mock",
            code="no_logprobs",
            param="logprobs",
        )
    tokenizer = common_tokenizer([plan])
    prompts = await player.long_texts.read(
        sum(map(len, asked.prompts)),
        lambda: [tokenizer.ids(prompt) if isinstance(prompt, str) else prompt for prompt in asked.prompts],
    )
    for ids in prompts:
        tokenizer.check(ids)
    read = await player.side_by_side([_read(plan, ids, place) for place, ids in enumerate(prompts)])
    count = sum(map(len, prompts))
    choices = await player.long_texts.read(
        count, lambda: [_choice(place, tokenizer.own, found) for place, found in enumerate(read)]
    )
    return {
        "id": f"read-{time.time_ns():x}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": asked.model,
        "choices": choices,
        "usage": {"prompt_tokens": count, "completion_tokens": len(prompts), "total_tokens": count + len(prompts)},
    }


async def _read(plan: Plan, ids: Sequence[int], place: int) -> tuple[TokenRead, ...]:
    assert isinstance(plan.decider, Agent)
    request = Request(Prompt(()), tokens=tuple(ids), adapter=plan.decider.adapter)
    found = await answered_by(plan.decider.backend, request, f"read-{place}")
    if not found.read:
        raise ApiError(503, "the engine was stopped; ask again", code="stopping")
    return found.read


def _choice(place: int, tokenizer: Any, found: Sequence[TokenRead]) -> dict[str, Any]:
    names = {id: str(tokenizer.decode([id])) for one in found for id in (one.token, one.likeliest) if id is not None}
    top = [None if one.likeliest is None else _top(one, names) for one in found]
    starts, start = [], 0
    for one in found:
        starts.append(start)
        start += len(names[one.token])
    logprobs = {
        "tokens": [names[one.token] for one in found],
        "token_logprobs": [one.log_likelihood for one in found],
        "top_logprobs": top,
        "text_offset": starts,
    }
    text = str(tokenizer.decode([one.token for one in found]))
    return {"index": place, "text": text, "logprobs": logprobs, "finish_reason": "length"}


def _top(one: TokenRead, names: dict[int, str]) -> dict[str, float]:
    """Return the token and the likeliest one by name; of two that are written alike, the likelier."""
    assert one.likeliest is not None
    assert one.log_likelihood is not None
    assert one.most is not None
    return {names[one.token]: one.log_likelihood} | {names[one.likeliest]: one.most}
