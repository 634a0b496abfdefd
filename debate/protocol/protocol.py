"""Who speaks when, and what each hears: a pure state machine over (agent, round), driven by what has been said.

The scheduler tells it what was said and starts the turns that became ready; it never waits for a whole round, and the
protocol says when the debate is over. `rules.py` has the exchange rules, the paper's own among them.
"""

import copy
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from debate.topology.edge import PLAIN, Edge
from debate.topology.generators import Graph
from debate.transcript import TurnKey

Order = Literal["fixed", "reversed", "shuffled"]


@dataclass(frozen=True)
class Inbox:
    """What an agent reads before a turn: its own last turn, and those it hears, in the order of the nodes.

    Attributes:
        own: its own last turn; None where it has not spoken.
        heard: the turns of others.
        edges: the edges by which they are heard, in the same order; plain ones where the topology says nothing.
    """

    own: TurnKey | None
    heard: tuple[TurnKey, ...]
    edges: tuple[Edge, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not self.edges:
            object.__setattr__(self, "edges", (PLAIN,) * len(self.heard))

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

    @abstractmethod
    def place(self, turn: TurnKey) -> int:
        """Return the place of a turn among those of its round, as the plan lists them."""

    @property
    @abstractmethod
    def num_turns(self) -> int:
        """Turns of a debate that nothing ends early."""


class Planned(Protocol):
    """A protocol that knows every turn beforehand: in each round agents speak group by group, blind to their own group.

    A subclass says which groups (`groups`), and may narrow whom a turn hears (`hears`). A turn hears of each agent that
    has an edge to it the latest message said before, an edge permitting (delay, all messages).

    Args:
        graph: u→v: v hears u; or a function of the round.
        rounds: turns of each agent in all.
        judges: agents that speak once, after the last round, and hear that round.
        chairs: agents that sum up or lead a round; the last agent where a protocol needs one and none is given.
        order: order of the solutions in a prompt.
        seed: random seed of everything that is drawn.
    """

    def __init__(
        self,
        graph: "Graph | Callable[[int], Graph]",
        rounds: int,
        *,
        judges: Collection[str] = (),
        chairs: Collection[str] = (),
        order: Order = "fixed",
        seed: int = 0,
    ) -> None:
        self.graph_of: Callable[[int], Graph] = graph if callable(graph) else lambda _: graph
        self.names: tuple[str, ...] = tuple(self.graph_of(1).nodes)
        self.seats = {name: seat for seat, name in enumerate(self.names)}
        self.rounds, self.seed = rounds, seed
        self.judges = tuple(name for name in self.names if name in judges)
        self.debaters = tuple(name for name in self.names if name not in judges)
        self.chairs = tuple(name for name in self.debaters if name in chairs) or self.debaters[-1:]
        self.order: Order = order
        self._index(self._plan())

    @abstractmethod
    def groups(self, round: int) -> Sequence[Sequence[str]]:
        """Return who speaks in a round, in order: agents of one group speak at once."""

    def hears(self, agent: str, speakers: Sequence[str], before: TurnKey | None) -> Sequence[str]:
        """Return whom an agent hears of the `speakers` that have an edge to it; `before` is the turn said last."""
        return speakers

    def edge(self, edge: Edge) -> Edge:
        """Return how an edge is heard under this protocol."""
        return edge

    def opening(self) -> tuple[TurnKey, ...]:
        """Return the turns that need nothing to be said before."""
        return tuple(turn for turn, inbox in self.plan.items() if not inbox.needed)

    def inbox(self, turn: TurnKey) -> Inbox:
        """Return what a turn reads."""
        return self.plan[turn]

    def ready(self, spoken: Collection[TurnKey], last: TurnKey) -> tuple[TurnKey, ...]:
        """Return the turns that became ready when `last` was said: the speaker's own next turn first."""
        waiting = sorted(self._followers[last], key=lambda turn: turn.agent != last.agent)
        return tuple(turn for turn in waiting if all(needed in spoken for needed in self.plan[turn].needed))

    def is_over(self, spoken: Collection[TurnKey]) -> bool:
        """Whether every planned turn was said."""
        return len(spoken) == len(self.plan)

    def place(self, turn: TurnKey) -> int:
        """Return the place of a turn in the plan."""
        return self._places[turn]

    @property
    def num_turns(self) -> int:
        """Turns of the whole plan."""
        return len(self.plan)

    def hearers(self, turn: TurnKey) -> list[tuple[TurnKey, Edge]]:
        """Return the turns that hear a turn, and how."""
        return self._hearers[turn]

    def shortened(self, rounds: int) -> "Planned":
        """Return the same exchange over fewer rounds."""
        fewer = copy.copy(self)
        fewer.rounds = rounds
        fewer._index(fewer._plan())
        return fewer

    def _index(self, plan: Mapping[TurnKey, Inbox]) -> None:
        self.plan = plan
        self._places = {turn: place for place, turn in enumerate(plan)}
        self._followers: dict[TurnKey, list[TurnKey]] = {turn: [] for turn in plan}
        for turn, inbox in plan.items():
            for needed in dict.fromkeys(inbox.needed):
                self._followers[needed].append(turn)
        self._hearers: dict[TurnKey, list[tuple[TurnKey, Edge]]] = {turn: [] for turn in plan}
        for turn, inbox in plan.items():
            for heard, edge in zip(inbox.heard, inbox.edges, strict=True):
                self._hearers[heard].append((turn, edge))

    def _plan(self) -> dict[TurnKey, Inbox]:
        plan: dict[TurnKey, Inbox] = {}
        said: dict[str, list[TurnKey]] = {name: [] for name in self.names}
        before: TurnKey | None = None
        for number in range(1, self.rounds + 1):
            groups = [group for group in self.groups(number) if group]
            if number == self.rounds and self.judges:
                groups.append(self.judges)
            graph = self.graph_of(number)
            for group in groups:
                turns = [TurnKey(number, agent) for agent in group]
                for turn in turns:
                    plan[turn] = self._inbox(turn, graph, said, before)
                for turn in turns:
                    said[turn.agent].append(turn)
                before = turns[-1]
        return plan

    def _inbox(self, turn: TurnKey, graph: Graph, said: Mapping[str, list[TurnKey]], before: TurnKey | None) -> Inbox:
        agent = turn.agent
        data = graph.pred[agent]
        speakers = sorted((name for name in data if said[name]), key=self.seats.__getitem__)
        chosen = list(self.hears(agent, speakers, before)) if agent not in self.judges else speakers
        if self.order == "reversed":
            chosen.reverse()
        elif self.order == "shuffled":
            random.Random(f"order|{self.seed}|{self.seats[agent]}|{turn.round}").shuffle(chosen)
        heard: list[TurnKey] = []
        edges: list[Edge] = []
        for name in chosen:
            edge = self.edge(data[name].get("edge", PLAIN))
            turns = said[name][: len(said[name]) - edge.delay]
            turns = turns if edge.seen == "all" else turns[-1:]
            heard += turns
            edges += [edge] * len(turns)
        own = said[agent][-1] if said[agent] else None
        return Inbox(own, tuple(heard), tuple(edges))
