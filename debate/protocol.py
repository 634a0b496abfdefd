"""Who speaks when, and what each hears: a pure state machine over (agent, round), driven by what has been said.

The scheduler tells it what was said and starts the turns that became ready; it never waits for a whole round, and the
protocol says when the debate is over. `protocols.py` has the exchange rules besides the paper's own.
"""

import copy
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from debate.graph import Graph
from debate.topology.edge import Edge

if TYPE_CHECKING:
    from debate.transcript import Turn

Order = Literal["fixed", "reversed", "shuffled"]


@dataclass(frozen=True, order=True)
class TurnKey:
    """One agent's turn in one round; rounds count from 1."""

    round: int
    agent: str


@dataclass(frozen=True)
class Inbox:
    """What an agent reads before a turn: its own last turn, and those it hears, in the order of the nodes.

    Fields:
        own: its own last turn; None where it has not spoken.
        heard: the turns of others.
        edges: how each of them is heard, in the same order; empty where nothing is said about it.
    """

    own: TurnKey | None
    heard: tuple[TurnKey, ...]
    edges: tuple[Edge, ...] = field(default=(), repr=False)

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
        order: of the solutions in a prompt.
        seed: of what is drawn.
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


class SimultaneousRounds(Planned):
    """Every agent speaks once a round and hears the round before (CIPHER, Algorithm 1; Du et al., 2023)."""

    def groups(self, round: int) -> Sequence[Sequence[str]]:
        """Return everyone at once."""
        return (self.debaters,)


PLAIN = Edge()


class Stopped(Protocol):
    """A planned protocol that may end after a round. Round by round: nobody begins the next before it is judged.

    Args:
        planned: the exchange rule.
        rule: what was said up to a round's end → why the debate ends there, or None. Judges still speak, on that round.
    """

    def __init__(self, planned: Planned, rule: "StoppingRule") -> None:
        self.planned, self.rule = planned, rule
        self._ends: dict[int, Planned] = {planned.rounds: planned}
        self._debated = dict.fromkeys(range(planned.rounds + 1), 0)
        for turn in planned.plan:
            if turn.agent not in planned.judges:
                self._debated[turn.round] += 1
        for number in range(1, planned.rounds + 1):
            self._debated[number] += self._debated[number - 1]

    def opening(self) -> tuple[TurnKey, ...]:
        """Return the first round's turns that need nothing."""
        return tuple(turn for turn in self.planned.opening() if turn.round == 1)

    def inbox(self, turn: TurnKey) -> Inbox:
        """Return what a turn reads; judges of a debate that ended early read its last round."""
        return self._ending(turn.round).inbox(turn) if turn.agent in self.planned.judges else self.planned.inbox(turn)

    def ready(self, spoken: Any, last: TurnKey) -> tuple[TurnKey, ...]:
        """Return the turns that became ready: of this round, or, once it is complete, what follows it."""
        if last.agent in self.planned.judges:
            return ()
        number = last.round
        same = tuple(turn for turn in self.planned.ready(spoken, last) if turn.round == number)
        if len(spoken) != self._debated[number] or number == self.planned.rounds:
            return same
        if self.rule(spoken, number) is not None:
            plan, follows = self._ending(number).plan, self.planned.judges
            candidates = [turn for turn in plan if turn.agent in follows]
        else:
            plan = self.planned.plan
            candidates = [turn for turn in plan if turn.round == number + 1]
        return (*same, *(turn for turn in candidates if all(needed in spoken for needed in plan[turn].needed)))

    def is_over(self, spoken: Any) -> bool:
        """Whether every planned turn was said, or the rule ended the debate after a complete round."""
        if self.planned.is_over(spoken):
            return True
        number = max((turn.round for turn in spoken), default=0)
        debated = sum(turn.agent not in self.planned.judges for turn in spoken) if self.planned.judges else len(spoken)
        if number in (0, self.planned.rounds) or debated != self._debated[number]:
            return False
        return self.rule(spoken, number) is not None and len(spoken) == debated + len(self.planned.judges)

    def place(self, turn: TurnKey) -> int:
        """Return the place of a turn in the plan; judges of a debate that ended early follow its last round."""
        return (self._ending(turn.round) if turn.agent in self.planned.judges else self.planned).place(turn)

    @property
    def num_turns(self) -> int:
        """Turns of a debate that nothing ends."""
        return self.planned.num_turns

    def _ending(self, number: int) -> Planned:
        if number not in self._ends:
            self._ends[number] = self.planned.shortened(number)
        return self._ends[number]


StoppingRule = Callable[[Mapping[TurnKey, "Turn"], int], str | None]
PLAIN = Edge()
