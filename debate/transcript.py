"""All messages of one debate, round by round, in the protocol's order. Values only; `run_folder/` puts them on disk.

The order is the plan's and not the clock's, so that a debate that was interrupted and went on is the same transcript.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agents.backend import FinishReason, Usage
from agents.message import Message
from agents.question import Question
from agents.reduction import Groups
from agents.signature import Signature


@dataclass(frozen=True, order=True, slots=True)
class TurnKey:
    """One agent's turn in one round; rounds count from 1."""

    round: int
    agent: str


@dataclass(frozen=True)
class Control:
    """A control that was heard in place of a message.

    Attributes:
        content: which.
        question: of `swapped` the id of the question that the message answers; empty of others.
    """

    content: str
    question: str = ""


@dataclass(frozen=True)
class Reduced:
    """The message of fewer positions that was heard in place of a CIPHER message.

    Attributes:
        rule: by which reduction.
        before: positions of what was said and would have been heard: of the answer, or of thinking and answer where both are
            heard, as far as `first_tokens` goes.
        groups: those positions, from 0 in that part, by position heard: of one group merged, of none dropped.
        digest: digest of the message that was heard; between tokenizers of that in the hearer's vocabulary.
    """

    rule: str
    before: int
    groups: Groups
    digest: str

    @property
    def after(self) -> int:
        """Positions that were heard."""
        return len(self.groups)


@dataclass(frozen=True)
class Summary:
    """What stood in a prompt in place of messages that it had no room for.

    Attributes:
        of: whose messages, oldest first.
        text: written by the agent itself, and heard by it alone.
        usage: what it cost, over all requests.
    """

    of: tuple[TurnKey, ...]
    text: str
    usage: Usage


@dataclass(frozen=True)
class Turn:
    """One agent's one message.

    Attributes:
        key: agent and round.
        message: the message.
        heard: turns of others that its prompt contained.
        seed: random seed of the request.
        usage: tokens that it cost, those of a summary included.
        finish_reason: reason for its end.
        mapped: CIPHER messages heard from another tokenizer, with the share of their belief that mapped to this agent's.
        read_out: turns said in CIPHER that were given to this agent as text, because its backend takes no vectors.
        controls: turns in whose place a content control was heard, with the control.
        reduced: CIPHER messages of which fewer positions were heard, with which.
        place: position among the turns of its round, in the protocol's order.
        left_out: turns that its prompt had no room for, oldest first.
        forgotten: number of the agent's oldest earlier turns that it has forgotten, because no prompt had room for them.
        summary: the summary of turns that its prompt had no room for.
        signature: signature over the message at this place; None where nobody signed it.
        log_likelihood: log-likelihood of a text in nats, where the decision asks for it (`likeliest`).
    """

    key: TurnKey
    message: Message
    heard: tuple[TurnKey, ...]
    seed: int
    usage: Usage
    finish_reason: FinishReason
    mapped: tuple[tuple[TurnKey, float], ...] = ()
    read_out: tuple[TurnKey, ...] = ()
    controls: tuple[tuple[TurnKey, Control], ...] = ()
    reduced: tuple[tuple[TurnKey, Reduced], ...] = ()
    place: int = 0
    left_out: tuple[TurnKey, ...] = ()
    forgotten: int = 0
    summary: Summary | None = None
    signature: Signature | None = None
    log_likelihood: float | None = None


def turn_fields(turn: Turn) -> dict[str, Any]:
    """Return a turn as flat values of JSON, a row of a table of turns."""
    message = turn.message
    shortened: dict[str, Any] = {}
    if turn.left_out:
        shortened["left_out"] = [f"{key.round}/{key.agent}" for key in turn.left_out]
    if turn.forgotten:
        shortened["forgotten"] = turn.forgotten
    if turn.summary is not None:
        shortened["summary"] = turn.summary.text
        shortened["summarised"] = [f"{key.round}/{key.agent}" for key in turn.summary.of]
    if turn.controls:
        shortened["controls"] = [f"{key.round}/{key.agent}: {control.content}" for key, control in turn.controls]
    if turn.reduced:
        shortened["reduced"] = [f"{key.round}/{key.agent}: {one.before} to {one.after}" for key, one in turn.reduced]
    return {
        "round": turn.key.round,
        "agent": turn.key.agent,
        "text": message.text,
        "encoder": message.encoder,
        "model": str(message.model.model),
        "temperature": message.temperature,
        "heard": [f"{key.round}/{key.agent}" for key in turn.heard],
        "prompt_tokens": turn.usage.prompt_tokens,
        "generated_tokens": turn.usage.generated_tokens,
        "bytes": message.num_bytes,
        "finish_reason": turn.finish_reason,
        "seed": turn.seed,
        **shortened,
    }


@dataclass(frozen=True)
class Transcript:
    """The turns of one debate over one question."""

    question: Question
    turns: tuple[Turn, ...]

    @classmethod
    def of(cls, question: Question, turns: Iterable[Turn]) -> "Transcript":
        """Return the transcript of turns given in any order."""
        return cls(question, tuple(sorted(turns, key=lambda turn: (turn.key.round, turn.place))))

    def last_of(self, agent: str) -> Turn:
        """Return an agent's last turn."""
        return max(self.turns_of(agent), key=lambda turn: turn.key.round)

    def turns_of(self, agent: str) -> Sequence[Turn]:
        """Return an agent's turns, in order; none of one that did not speak."""
        return self._by_agent.get(agent, ())

    @property
    def agents(self) -> tuple[str, ...]:
        """Everyone who spoke, in order of their first turn."""
        return tuple(self._by_agent)

    @cached_property
    def _by_agent(self) -> dict[str, list[Turn]]:
        found: dict[str, list[Turn]] = {}
        for turn in self.turns:
            found.setdefault(turn.key.agent, []).append(turn)
        return found

    @property
    def rounds(self) -> int:
        """The highest round that anyone spoke in."""
        return max(turn.key.round for turn in self.turns)

    @property
    def generated_tokens(self) -> int:
        """Steps decoded in all."""
        return sum(turn.usage.generated_tokens for turn in self.turns)


class SpokenTurns(dict[TurnKey, "Turn"]):
    """The turns of a debate under way, which knows when it began, and between which options it is.

    Args:
        options: the question's; () of no choice.
    """

    def __init__(self, options: Sequence[str] = ()) -> None:
        super().__init__()
        self.began = time.monotonic()
        self.options = options
