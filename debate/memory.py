"""What agents with a memory keep of a run's earlier questions, and where a memory over questions cannot be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.errors import ConfigError
from agents.question import Question
from agents.speakers.agent import Past
from debate.config.schema import DebateConfig
from debate.contents import swaps
from debate.protocol.exchange import Exchange


@dataclass(frozen=True)
class Remembered:
    """What an agent read and said in the questions that are over.

    Attributes:
        turns: its turns, the oldest first, without those that it has forgotten.
        forgotten: how many turns it has forgotten, all of them older.
    """

    turns: tuple[Past, ...] = ()
    forgotten: int = 0


# Agent → what it remembers, of the agents with memory: questions.
Earlier = Mapping[str, Remembered]


def check_memory(config: DebateConfig, exchange: Exchange, questions: Sequence[Question]) -> None:
    """Refuse memories that cannot be.

    Args:
        config, exchange: the debate.
        questions: those of the run, in order; none where each is asked by itself.

    Raises:
        ConfigError: a summary stands in for what an agent reads; or what was read of earlier questions is not known.
    """
    for name, keys in config.agents.items():
        if keys.memory is not None and config.overflow == "summarise":
            raise ConfigError(
                f"agents.{name}.memory: what a summary stands for would be remembered as read; set overflow: truncate-oldest or "
                "fail, or leave memory out"
            )
        if keys.memory == "questions" and not questions:
            raise ConfigError(
                f"agents.{name}.memory: questions reads a run's earlier questions, and here each is asked by itself; play a run "
                "with `debate eval` or `debate run --task`, or set memory: debate"
            )
        if keys.memory == "questions" and swaps(exchange):
            raise ConfigError(
                f"agents.{name}.memory: questions, beside content: swapped, would remember what was said about later questions; "
                "set memory: debate, or another control"
            )
