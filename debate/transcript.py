"""All messages of one debate, round by round, in the protocol's order. Values only; `run_folder/` puts them on disk.

The order is the plan's and not the clock's, so that a debate that was interrupted and went on is the same transcript.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agents.backend import FinishReason, Usage
from agents.message import Message
from agents.question import Question


@dataclass(frozen=True, order=True, slots=True)
class TurnKey:
    """One agent's turn in one round; rounds count from 1."""

    round: int
    agent: str


@dataclass(frozen=True)
class Turn:
    """One agent's one message.

    Fields:
        key: agent and round.
        message: what was said.
        heard: the turns that its prompt held, besides the agent's own.
        seed: of the request.
        usage: what it cost.
        finish_reason: why it ended.
        mapped: heard CIPHER messages of another tokenizer, with the share of their belief that mapped to this agent's.
        read_out: turns said in CIPHER that this agent's backend, which takes no vectors, was given as their reading.
        place: among the turns of its round, by the protocol's plan.
    """

    key: TurnKey
    message: Message
    heard: tuple[TurnKey, ...]
    seed: int
    usage: Usage
    finish_reason: FinishReason
    mapped: tuple[tuple[TurnKey, float], ...] = ()
    read_out: tuple[TurnKey, ...] = ()
    place: int = 0


def turn_fields(turn: Turn) -> dict[str, Any]:
    """Return a turn as flat values of JSON, a row of a table of turns."""
    message = turn.message
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
        return max((turn for turn in self.turns if turn.key.agent == agent), key=lambda turn: turn.key.round)

    @property
    def agents(self) -> tuple[str, ...]:
        """Everyone who spoke, in order of their first turn."""
        return tuple(dict.fromkeys(turn.key.agent for turn in self.turns))

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
