"""Who speaks when, and what each hears: a pure state machine over (agent, round), driven by what has been said.

The scheduler tells it what was said and starts the turns that became ready; it never waits for a whole round, and the
protocol says when the debate is over.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass

import networkx as nx

from debate.graph import heard_by


@dataclass(frozen=True, order=True)
class TurnKey:
    """One agent's turn in one round; rounds count from 1."""

    round: int
    agent: str


@dataclass(frozen=True)
class Inbox:
    """What an agent reads before a turn: its own last turn, and those it hears, in the order of the nodes."""

    own: TurnKey | None
    heard: tuple[TurnKey, ...]

    @property
    def needed(self) -> tuple[TurnKey, ...]:
        """Every turn that has to be over first."""
        return self.heard if self.own is None else (self.own, *self.heard)


class Protocol(ABC):
    """An exchange rule. Stateless: everything follows from the graph and from what was said."""

    @abstractmethod
    def opening(self) -> tuple[TurnKey, ...]:
        """Return the turns that need nothing to be said before."""

    @abstractmethod
    def inbox(self, turn: TurnKey) -> Inbox:
        """Return what a turn reads."""

    @abstractmethod
    def ready(self, spoken: Collection[TurnKey], last: TurnKey) -> tuple[TurnKey, ...]:
        """Return the turns that became ready when `last` was said; `spoken` includes it."""

    @abstractmethod
    def is_over(self, spoken: Collection[TurnKey]) -> bool:
        """Whether the debate has ended."""


class SimultaneousRounds(Protocol):
    """Every agent speaks once a round and hears the round before (CIPHER, Algorithm 1).

    Args:
        graph: u→v: v hears u.
        rounds: turns of each agent in all: one initial answer and rounds − 1 of debate.
    """

    def __init__(self, graph: "nx.DiGraph[str]", rounds: int) -> None:
        self.graph, self.rounds = graph, rounds
        self._hears = {agent: heard_by(graph, agent) for agent in graph.nodes}

    def opening(self) -> tuple[TurnKey, ...]:
        """Return the first round: every agent answers alone."""
        return tuple(TurnKey(1, agent) for agent in self.graph.nodes)

    def inbox(self, turn: TurnKey) -> Inbox:
        """Return the agent's own turn and those of whom it hears, of the round before."""
        if turn.round == 1:
            return Inbox(None, ())
        before = turn.round - 1
        return Inbox(TurnKey(before, turn.agent), tuple(TurnKey(before, name) for name in self._hears[turn.agent]))

    def ready(self, spoken: Collection[TurnKey], last: TurnKey) -> tuple[TurnKey, ...]:
        """Return the next round's turns of the speaker and its hearers whose inbox is complete."""
        if last.round >= self.rounds:
            return ()
        concerned = [last.agent, *self.graph.successors(last.agent)]
        turns = (TurnKey(last.round + 1, agent) for agent in concerned)
        return tuple(turn for turn in turns if all(needed in spoken for needed in self.inbox(turn).needed))

    def is_over(self, spoken: Collection[TurnKey]) -> bool:
        """Whether every agent has spoken in every round."""
        return len(spoken) == self.rounds * len(self.graph)
