"""Outcomes as the bodies that OpenAI's clients read: whole, or in the chunks of a stream."""

import json
from collections.abc import Sequence
from typing import Any

from debate.serving.debates import Growing, Job, Outcome
from debate.serving.growing import Floor, GrowingContent, cut, told
from debate.serving.requests import Asked
from debate.transcript import Turn

REASONS = {"stop": "stop", "length": "length", "filtered": "content_filter", "cancelled": "stop"}
DONE = b"data: [DONE]\n\n"
HEARTBEAT = b": still debating\n\n"


def event(body: Any) -> bytes:
    """Return one event of a stream."""
    return f"data: {json.dumps(body, ensure_ascii=False, allow_nan=False)}\n\n".encode()


def reasoning_of(outcome: Outcome) -> str | None:
    """Return the debate before its answer; None of an agent that spoke alone, whose only turn is the answer."""
    turns = outcome.transcript.turns
    return None if is_alone(turns) else "".join(told(turn) for turn in turns)


def is_alone(turns: Sequence[Turn]) -> bool:
    """Whether the turns are a single one."""
    return len(turns) == 1


def answer_of(outcome: Outcome, asked: Asked) -> tuple[str, str]:
    """Return the content and the finish reason."""
    content, is_cut = cut(outcome.content, asked.stops)
    reason = "stop" if is_cut or outcome.turn is None else REASONS[outcome.turn.finish_reason]
    return content, reason


def usage_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return what debates cost: the tokens of all agents; reasoning is what is not the answer's turn."""
    turns = [turn for outcome in outcomes for turn in outcome.transcript.turns]
    prompt = sum(turn.usage.prompt_tokens for turn in turns)
    generated = sum(turn.usage.generated_tokens for turn in turns)
    said = sum(outcome.turn.usage.generated_tokens for outcome in outcomes if outcome.turn is not None)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": sum(turn.usage.cached_tokens for turn in turns)},
        "completion_tokens_details": {"reasoning_tokens": generated - said},
    }


def debate_of(job: Job, outcome: Outcome, asked: Asked) -> dict[str, Any]:
    """Return what OpenAI's form has no place for: the decision, and what of the request changed nothing."""
    decision = outcome.decision
    return {
        "id": job.id,
        "method": job.plan.method,
        "question_id": outcome.transcript.question.id,
        "seed": job.plan.config.seed,
        "answer": decision.answer,
        "reason": decision.reason,
        "answers": dict(decision.answers),
        "rounds": outcome.transcript.rounds,
        "ignored": asked.ignored,
    }


def chat(job: Job, outcome: Outcome, asked: Asked) -> dict[str, Any]:
    """Return the body of a whole answer of /v1/chat/completions."""
    content, reason = answer_of(outcome, asked)
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if (reasoning := reasoning_of(outcome)) is not None:
        message |= {"reasoning": reasoning, "reasoning_content": reasoning}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return {
        **_head(job, asked, "chat.completion"),
        "choices": [choice],
        "usage": usage_of([outcome]),
        "debate": debate_of(job, outcome, asked),
    }


def completion(job: Job, outcomes: Sequence[Outcome], asked: Asked, echoed: Sequence[str]) -> dict[str, Any]:
    """Return the body of a whole answer of /v1/completions.

    Args:
        job, outcomes, asked: of one request.
        echoed: what stands before each answer.
    """
    choices = []
    for place, (outcome, before) in enumerate(zip(outcomes, echoed, strict=True)):
        content, reason = answer_of(outcome, asked)
        choices.append({"index": place, "text": before + content, "logprobs": None, "finish_reason": reason})
    return {
        **_head(job, asked, "text_completion"),
        "choices": choices,
        "usage": usage_of(outcomes),
        "debate": [debate_of(job, outcome, asked) for outcome in outcomes],
    }


class ChatChunks:
    """The chunks of a stream of /v1/chat/completions.

    Args:
        job, asked: of one request.
    """

    def __init__(self, job: Job, asked: Asked) -> None:
        self._job, self._asked = job, asked
        self._floor = Floor() if job.plan.debate.protocol.num_turns > 1 else None
        self._content = GrowingContent(asked.stops)

    def opening(self) -> list[bytes]:
        """Return the first chunk."""
        return [self._chunk({"role": "assistant", "content": ""})]

    def growing(self, turn: Growing) -> list[bytes]:
        """Return the chunk of what a turn has more: reasoning, or content where the only turn is the answer."""
        if self._floor is not None:
            return self._reasoning(self._floor.growing(turn))
        more = self._content.more(turn.text)
        return [self._chunk({"content": more})] if more else []

    def said(self, turn: Turn) -> list[bytes]:
        """Return the chunk of what is left of a turn, which is reasoning; none where the only turn is the answer."""
        return [] if self._floor is None else self._reasoning(self._floor.said(turn))

    def _reasoning(self, text: str) -> list[bytes]:
        return [self._chunk({"reasoning": text, "reasoning_content": text})] if text else []

    def closing(self, outcome: Outcome) -> list[bytes]:
        """Return the answer, the end, what it cost if that was asked, and the sign that all was sent."""
        content, reason = answer_of(outcome, self._asked)
        rest = self._content.rest(content)
        found = [
            *([self._chunk({"content": rest})] if rest or not content else []),
            self._chunk({}, reason, debate=debate_of(self._job, outcome, self._asked)),
        ]
        if self._asked.wants_usage:
            head = _head(self._job, self._asked, "chat.completion.chunk")
            found.append(event({**head, "choices": [], "usage": usage_of([outcome])}))
        return [*found, DONE]

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if self._asked.wants_usage else {}
        return event({**_head(self._job, self._asked, "chat.completion.chunk"), "choices": [choice], **usage, **more})


class CompletionChunks:
    """The chunks of a stream of /v1/completions, which has no place for what is said before the answer.

    Args:
        job, asked: of one request.
        before: the prompt, where it is to be echoed.
    """

    def __init__(self, job: Job, asked: Asked, before: str) -> None:
        self._job, self._asked, self._before = job, asked, before
        self._is_alone = job.plan.debate.protocol.num_turns == 1
        self._content = GrowingContent(asked.stops)

    def opening(self) -> list[bytes]:
        """Return the prompt, where it is echoed."""
        return [self._chunk(self._before)] if self._before else []

    def growing(self, turn: Growing) -> list[bytes]:
        """Return the chunk of what the answer has more, where it is the only turn."""
        more = self._content.more(turn.text) if self._is_alone else ""
        return [self._chunk(more)] if more else []

    def said(self, turn: Turn) -> list[bytes]:
        """Return nothing."""
        return []

    def closing(self, outcome: Outcome) -> list[bytes]:
        """Return the answer, the end, what it cost if that was asked, and the sign that all was sent."""
        content, reason = answer_of(outcome, self._asked)
        rest = self._content.rest(content)
        found = [self._chunk(rest), self._chunk("", reason, debate=debate_of(self._job, outcome, self._asked))]
        if self._asked.wants_usage:
            head = _head(self._job, self._asked, "text_completion")
            found.append(event({**head, "choices": [], "usage": usage_of([outcome])}))
        return [*found, DONE]

    def _chunk(self, text: str, reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
        return event({**_head(self._job, self._asked, "text_completion"), "choices": [choice], **more})


def _head(job: Job, asked: Asked, kind: str) -> dict[str, Any]:
    return {"id": job.id, "object": kind, "created": job.created, "model": asked.model}
