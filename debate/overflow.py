"""A prompt that is too long for its model: the turn fails, leaves out the oldest messages, or hears a summary of them.

Messages go whole, one after the other: of the oldest round first, within a round in the order of the prompt, and the agent's
own last. What an agent remembers goes before any of them, turn by turn, the oldest first, and is forgotten for good. What was
said and the model's context alone decide, so that a turn that is taken again is the same.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from agents.backend import CHARACTERS_A_TOKEN, Generation, Pending, Usage
from agents.errors import PromptTooLong
from agents.prompts import Heard
from agents.question import Question
from agents.speakers.agent import Agent
from agents.speakers.speaker import Speaker
from debate.hearing import HeardMessage
from debate.transcript import Summary, TurnKey

Overflow = Literal["fail", "summarise", "truncate-oldest"]
Told = tuple[TurnKey, HeardMessage]
OnText = Callable[[str], None]
# A summary has at most this share of the tokens of a message.
SUMMARY_SHARE = 0.5
SUMMARY = "Summary of earlier solutions: "


@dataclass(frozen=True)
class Answered:
    """What an agent said, and what its prompt had no room for.

    Attributes:
        generation: what was said.
        left_out: turns that it did not hear, oldest first.
        forgotten: how many turns that it remembered until now it has forgotten.
        summary: what it heard in place of others.
    """

    generation: Generation
    left_out: tuple[TurnKey, ...] = ()
    forgotten: int = 0
    summary: Summary | None = None

    @property
    def usage(self) -> Usage:
        """What the turn cost, with its summary."""
        return _sum([self.generation.usage, *([] if self.summary is None else [self.summary.usage])])


async def answered(
    agent: Speaker,
    question: Question,
    own: Told | None,
    others: Sequence[Told],
    seed: int,
    overflow: Overflow,
    on_text: OnText | None = None,
) -> Answered:
    """Return an agent's answer to what it hears, or to as much of it as its model's context holds.

    Args:
        agent, question, seed: whose turn.
        own: its own last turn.
        others: the turns of others, in the order of the prompt.
        overflow: what happens where that is too much.
        on_text: receives what the answer has said so far, each time it grows.

    Raises:
        PromptTooLong: there is no room for the question alone, or nothing is to be shortened.
        ConfigError: an agent that cannot is to write a summary.
    """
    match overflow:
        case "truncate-oldest":
            return await _truncated(agent, question, own, others, seed, on_text)
        case "summarise":
            return await _summarised(agent, question, own, others, seed, on_text)
        case _:
            heard = [message.content for _, message in others]
            return Answered(await _spoken(agent, question, own, heard, seed, on_text))


async def _truncated(
    agent: Speaker, question: Question, own: Told | None, others: Sequence[Told], seed: int, on_text: OnText | None
) -> Answered:
    order = [*_oldest_first(others), *([] if own is None else [own])]
    past = (agent.past or ()) if isinstance(agent, Agent) else ()
    first: PromptTooLong | None = None
    for count in range(len(past) + len(order) + 1):
        forgotten = min(count, len(past))
        gone = tuple(turn for turn, _ in order[: count - forgotten])
        heard = [message.content for turn, message in others if turn not in gone]
        if isinstance(agent, Agent) and forgotten:
            agent = agent.remembering(past[forgotten:])
        try:
            kept = None if own is None or own[0] in gone else own
            return Answered(await _spoken(agent, question, kept, heard, seed, on_text), gone, forgotten)
        except PromptTooLong as error:
            first = first or error
    assert first is not None
    raise first


async def _summarised(
    agent: Speaker, question: Question, own: Told | None, others: Sequence[Told], seed: int, on_text: OnText | None
) -> Answered:
    rest, of = _oldest_first(others), tuple[TurnKey, ...]()
    text, costs = "", list[Usage]()
    room = max(1, int(agent.sampling.max_tokens * SUMMARY_SHARE))
    while True:
        before: list[Heard] = [SUMMARY + text] if of else []
        heard = [message.content for turn, message in others if turn not in of]
        try:
            said = await _spoken(agent, question, own, [*before, *heard], seed, on_text)
            return Answered(said, summary=Summary(of, text, _sum(costs)) if of else None)
        except PromptTooLong as error:
            if not rest:
                raise
            count = _enough(rest, error.over + (0 if of else room))
        while True:
            shown = [*before, *(message.content for _, message in rest[:count])]
            try:
                made = await _ended(partial(agent.summarise, question, shown, (seed + len(costs) + 1) % 2**63, room))
                break
            except PromptTooLong:
                if count == 1:
                    raise
                count //= 2
        text = made.message.text.strip()
        costs.append(made.usage)
        of, rest = (*of, *(turn for turn, _ in rest[:count])), rest[count:]


def _oldest_first(told: Sequence[Told]) -> list[Told]:
    return sorted(told, key=lambda one: one[0].round)


def _enough(told: Sequence[Told], tokens: int) -> int:
    """Return how many of the first messages have so many tokens together; all where they have not."""
    total = 0
    for count, (_, message) in enumerate(told, start=1):
        total += _length(message.content)
        if total >= tokens:
            return count
    return len(told)


def _length(heard: Heard) -> int:
    if isinstance(heard, str):
        return len(heard) // CHARACTERS_A_TOKEN
    return sum(message.num_tokens for message in (heard if isinstance(heard, tuple) else (heard,)))


async def _spoken(
    agent: Speaker,
    question: Question,
    own: Told | None,
    heard: Sequence[Heard],
    seed: int,
    on_text: OnText | None,
) -> Generation:
    content = None if own is None else own[1].content
    return await _ended(partial(agent.speak, question, content, heard, seed), on_text)


async def _ended(begin: Callable[[], Pending], on_text: OnText | None = None) -> Generation:
    """Begin a request and wait for it; cancelling cancels it.

    An engine of ours counts tokens before it takes a request, a server when it has it.
    """
    pending = begin()
    try:
        if on_text is not None:
            text = ""
            async for piece in pending:
                text += piece
                on_text(text)
        return await pending
    except asyncio.CancelledError:
        pending.cancel()
        raise


def _sum(costs: Sequence[Usage]) -> Usage:
    return Usage(
        sum(cost.prompt_tokens for cost in costs),
        sum(cost.cached_tokens for cost in costs),
        sum(cost.generated_tokens for cost in costs),
    )
