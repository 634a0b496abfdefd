"""Exchange rules by name, each a small class over the planned state machine, each with the paper it comes from."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import networkx as nx

from agents.registry import check_parameters, load_class, parse_named
from debate.protocol.protocol import Planned
from debate.topology.edge import Edge
from debate.topology.generators import Graph
from debate.transcript import TurnKey


class SimultaneousRounds(Planned):
    """Every agent speaks once a round and hears the round before (CIPHER, Algorithm 1; Du et al., 2023)."""

    def groups(self, round: int) -> Sequence[Sequence[str]]:
        """Return everyone at once."""
        return (self.debaters,)


class OneByOne(Planned):
    """One after the other; each hears what was said last, this round or the one before (ChatEval, Chan et al.)."""

    def groups(self, round: int) -> Sequence[Sequence[str]]:
        """Return one agent at a time."""
        return [(name,) for name in self.debaters]


class Memory(OneByOne):
    """One after the other, and everything said so far is heard (the memory paradigm of MALLM, Becker et al., 2025)."""

    def edge(self, edge: Edge) -> Edge:
        """Return the edge with all messages seen."""
        return edge if edge.seen == "all" else _with_all(edge)


class Relay(OneByOne):
    """One after the other, and only the agent that spoke directly before is heard (the relay paradigm of MALLM)."""

    def hears(self, agent: str, speakers: Sequence[str], before: TurnKey | None) -> Sequence[str]:
        """Return the one that spoke last, where it has an edge."""
        return [name for name in speakers if before is not None and name == before.agent]


class Report(Planned):
    """All but the first speak, then report to the first; they hear only it (the report paradigm of MALLM)."""

    def groups(self, round: int) -> Sequence[Sequence[str]]:
        """Return those who report, then the first."""
        return [self.debaters[1:], self.debaters[:1]]

    def hears(self, agent: str, speakers: Sequence[str], before: TurnKey | None) -> Sequence[str]:
        """Return the first agent, or for the first agent everyone."""
        hub = self.debaters[0]
        return speakers if agent == hub else [name for name in speakers if name == hub]


class Hierarchical(Planned):
    """Workers speak at once, then the summarisers; workers hear only summaries (ChatEval, Chan et al., 2023)."""

    def groups(self, round: int) -> Sequence[Sequence[str]]:
        """Return the workers, then the summarisers."""
        return [[name for name in self.debaters if name not in self.chairs], self.chairs]

    def hears(self, agent: str, speakers: Sequence[str], before: TurnKey | None) -> Sequence[str]:
        """Return the summarisers, or for a summariser the workers."""
        return [name for name in speakers if (name in self.chairs) != (agent in self.chairs)]


class AngelDevilJudge(Planned):
    """The sides speak in turn, then the moderator, whom they do not hear (MAD, Liang et al., arXiv:2305.19118)."""

    def groups(self, round: int) -> Sequence[Sequence[str]]:
        """Return each side in turn, then the moderator."""
        return [*((name,) for name in self.debaters if name not in self.chairs), self.chairs]

    def hears(self, agent: str, speakers: Sequence[str], before: TurnKey | None) -> Sequence[str]:
        """Return the sides."""
        return [name for name in speakers if name not in self.chairs]


class FeedForward(Planned):
    """Each waits for those before it in the same round, layer by layer (MacNet, Qian et al., 2024; DyLAN, Liu, 2023).

    An edge from a later agent to an earlier one is heard a round later.
    """

    def groups(self, round: int) -> Sequence[Sequence[str]]:
        """Return the layers of the graph without its backward edges."""
        graph = self.graph_of(round)
        forward: Graph = nx.DiGraph()
        forward.add_nodes_from(self.debaters)
        known = set(self.debaters)
        forward.add_edges_from(
            (s, h) for s, h in graph.edges if s in known and h in known and self.seats[s] < self.seats[h]
        )
        return [sorted(layer, key=self.seats.__getitem__) for layer in nx.topological_generations(forward)]


class Gossip(Planned):
    """Agents wake in a drawn order and hear `peers` drawn neighbours (randomised gossip, Boyd et al., 2006).

    Nothing waits for the end of a round: a turn starts when the few turns that it hears are over, whatever others do.
    """

    def __init__(self, *args: Any, peers: int = 1, **keywords: Any) -> None:
        self.peers = peers
        super().__init__(*args, **keywords)

    def groups(self, round: int) -> Sequence[Sequence[str]]:
        """Return one agent at a time, in the drawn order."""
        draw = random.Random(f"gossip|{self.seed}|{round}")
        return [(name,) for name in draw.sample(self.debaters, len(self.debaters))]

    def hears(self, agent: str, speakers: Sequence[str], before: TurnKey | None) -> Sequence[str]:
        """Return drawn neighbours, in the order of the nodes."""
        at = (self.seats[before.agent], before.round) if before else None
        draw = random.Random(f"peers|{self.seed}|{self.seats[agent]}|{at}")
        chosen = set(draw.sample(range(len(speakers)), min(self.peers, len(speakers))))
        return [name for place, name in enumerate(speakers) if place in chosen]


PROTOCOLS: dict[str, type[Planned]] = {
    "angel_devil_judge": AngelDevilJudge,
    "feed_forward": FeedForward,
    "gossip": Gossip,
    "hierarchical": Hierarchical,
    "memory": Memory,
    # Multi-party debate (DebateLLM, Smit et al., 2024) is simultaneous rounds with `agreement`, which any protocol takes.
    "multi_party": SimultaneousRounds,
    "one_by_one": OneByOne,
    "relay": Relay,
    "report": Report,
    "simultaneous": SimultaneousRounds,
}
GROUP = "debate.protocols"
GIVEN = ("judges", "chairs", "order", "seed")


def find_protocol(protocol: str) -> tuple[type[Planned], dict[str, Any]]:
    """Return a protocol's class and the parameters that a config gives it, e.g. `gossip(peers=2)`.

    Raises:
        UnknownName: no such protocol.
        ConfigError: a parameter that it does not take, or what is named is no planned protocol.
    """
    named = parse_named(protocol, "protocol")
    cls: type[Planned] = load_class(named.name, "protocol", GROUP, Planned, PROTOCOLS)
    check_parameters(named, "protocol", cls, given=GIVEN)
    return cls, dict(named.parameters)


def _with_all(edge: Edge) -> Edge:
    return replace(edge, seen="all")
