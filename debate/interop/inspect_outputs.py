"""Debates and turns in the values of Inspect: outputs, usage, messages."""

from collections.abc import Sequence
from typing import Any

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    Content,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
    StopReason,
)

from agents.backend import Usage
from agents.errors import RequestError
from debate.serving.debates import Outcome
from debate.serving.replies import reasoning_of
from debate.transcript import Turn

REASONS: dict[str, StopReason] = {
    "stop": "stop", "length": "max_tokens", "filtered": "content_filter", "cancelled": "unknown",
}  # fmt: skip


def usage_of(costs: Sequence[Usage], *, reasoning: int = 0) -> ModelUsage:
    """Return what turns cost, in Inspect's counts: prompt tokens that were computed and that were cached stand apart."""
    prompt, cached = sum(cost.prompt_tokens for cost in costs), sum(cost.cached_tokens for cost in costs)
    said = sum(cost.generated_tokens for cost in costs)
    return ModelUsage(
        input_tokens=prompt - cached,
        input_tokens_cache_read=cached,
        output_tokens=said,
        total_tokens=prompt + said,
        reasoning_tokens=reasoning,
    )


def output_of(model: str, outcome: Outcome, content: str, *, is_cut: bool, id: str) -> ModelOutput:
    """Return a debate as the output of one model.

    Args:
        model: what was asked.
        outcome: what it came to.
        content: the answer's text.
        is_cut: whether the request's stops cut it.
        id: of the debate.
    """
    said = outcome.turn
    parts: list[Content] = []
    if (reasoning := reasoning_of(outcome)) is not None:
        parts.append(ContentReasoning(reasoning=reasoning))
    message = ChatMessageAssistant(content=[*parts, ContentText(text=content)], model=model, source="generate")
    reason = "stop" if is_cut or said is None else REASONS[said.finish_reason]
    turns = outcome.transcript.turns
    answer = 0 if said is None else said.usage.generated_tokens
    usage = usage_of([turn.usage for turn in turns], reasoning=outcome.transcript.generated_tokens - answer)
    metadata = {
        "debate_id": id,
        "answer": outcome.decision.answer,
        "reason": outcome.decision.reason,
        "answers": dict(outcome.decision.answers),
        "rounds": outcome.transcript.rounds,
    }
    choice = ChatCompletionChoice(message=message, stop_reason=reason)
    return ModelOutput(model=model, choices=[choice], usage=usage, metadata=metadata)


def said_by(turn: Turn) -> ChatMessageAssistant:
    """Return a turn as a message of its agent; a CIPHER message as its reading."""
    message = turn.message
    thinking: list[Content] = [ContentReasoning(reasoning=message.thinking)] if message.thinking else []
    return ChatMessageAssistant(
        content=[*thinking, ContentText(text=message.text)], model=message.model.model, source="generate"
    )


def turn_output(turn: Turn) -> ModelOutput:
    """Return a turn as the output of its agent's model."""
    choice = ChatCompletionChoice(message=said_by(turn), stop_reason=REASONS[turn.finish_reason])
    return ModelOutput(model=turn.message.model.model, choices=[choice], usage=usage_of([turn.usage]))


def turn_facts(turn: Turn) -> dict[str, Any]:
    """Return of a turn what Inspect's own values have no place for."""
    return {
        "agent": turn.key.agent,
        "round": turn.key.round,
        "heard": [f"{key.round}/{key.agent}" for key in turn.heard],
        "encoder": turn.message.encoder,
        "temperature": turn.message.temperature,
        "seed": turn.seed,
        "digest": turn.message.digest,
        "bytes": turn.message.num_bytes,
    }


def text_messages(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Return a conversation as of OpenAI's protocol.

    Raises:
        RequestError: it has more than text.
    """
    for message in messages:
        kinds = [] if isinstance(message.content, str) else [part.type for part in message.content]
        if stray := next((kind for kind in kinds if kind not in ("text", "reasoning")), None):
            raise RequestError(f"a message has a part of type {stray!r}; only text is debated")
    return [{"role": message.role, "content": message.text} for message in messages]
