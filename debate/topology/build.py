"""Config → topology: for every round a graph whose edges say how they are heard.

A round whose edges are those of another round shares its graph, so a static topology is one graph however long it runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.errors import ConfigError, UnknownName
from agents.reduction import Reduction, reduction
from agents.signing import public_key
from debate.config.topology import EdgeConfig, Ends, ScheduleConfig, TopologyConfig
from debate.topology.edge import Edge, Form
from debate.topology.generators import REDRAWN, Graph, build_graph, find_generator, is_drawn
from kernels.content import Content

# Messages heard over all rounds; a plan of as many takes seconds to make.
MOST_HEARD = 1_000_000
# Of a message that is heard, in the plan alone; measured on complete graphs of 1,000 and 1,500 agents.
BYTES_HEARD = 300
# Agents of the graph from which a larger one's size is told.
PROBED = 128


@dataclass(frozen=True)
class Topology:
    """Graphs by round.

    Attributes:
        names: every agent, in the order in which they are heard.
        graphs: round → graph over all names; each edge carries its `Edge` under "edge".
    """

    names: tuple[str, ...]
    graphs: Mapping[int, Graph]

    def graph(self, round: int) -> Graph:
        """Return what is heard in a round."""
        return self.graphs[round]

    def edge(self, round: int, speaker: str, hearer: str) -> Edge:
        """Return how one agent hears another in a round."""
        return self.graphs[round].edges[speaker, hearer].get("edge", Edge())  # type: ignore[no-any-return]

    def union(self) -> Graph:
        """Return one graph with every edge of every round, as it is the last time it is heard."""
        whole = self.graphs[1].copy()
        for graph in dict.fromkeys(self.graphs.values()):
            whole.add_edges_from(graph.edges(data=True))
        return whole


def build_topology(
    topology: str | TopologyConfig,
    names: Sequence[str],
    *,
    rounds: int,
    message: Form = "cipher",
    content: Content = "intact",
    reduce: str | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    judges: Sequence[str] = (),
    seed: int = 0,
    most_heard: int | None = MOST_HEARD,
) -> Topology:
    """Return the topology of a config over agents.

    Args:
        topology: a name, or the whole mapping.
        names: every agent, in order.
        rounds: number of rounds of the debate.
        message: form in which an edge is heard that does not set one.
        content: what is heard on an edge that does not set it.
        reduce: how CIPHER messages are reduced on an edge that does not set it; None for not at all.
        groups: name → members, for edges between groups.
        judges: agents that speak last; a generator leaves them out, and where only a name is given they hear everyone.
        seed: random seed of graphs that are drawn.
        most_heard: limit on messages heard over all rounds, estimated before anything is built; None for no limit.

    Raises:
        ConfigError: an unknown agent, an impossible parameter, a round that never comes, or a topology that would take minutes
            and gigabytes; the message has the key path.
    """
    debaters = tuple(name for name in names if name not in judges) or tuple(names)
    config = topology if isinstance(topology, TopologyConfig) else TopologyConfig(generator=topology)
    members = _Members(names, groups or {})
    over = debaters if config.over is None else members.of(config.over, "topology.over")
    seed = seed if config.seed is None else config.seed
    default = None if reduce is None else reduction(reduce)
    _check_intact(default, content, "reduce")
    generated = Edge(config.message or message, is_stated=config.message is not None, content=content, reduce=default)
    stated = [(edge, *_pairs(edge, members, place)) for place, edge in enumerate(config.edges)]
    if isinstance(topology, str):
        stated.append((EdgeConfig.model_validate({"from": debaters, "to": tuple(judges)}), debaters, tuple(judges)))
    keys = [_keys(edge, speakers, place) for place, (edge, speakers, _) in enumerate(stated)]
    reductions = [_reduction(edge, message, content, default, place) for place, (edge, _, _) in enumerate(stated)]
    for place, edge in enumerate(config.edges):
        if edge.rounds and edge.rounds[0] > rounds:
            raise ConfigError(
                f"topology.edges.{place}.rounds: begins in round {edge.rounds[0]}, but the debate has {rounds} rounds"
            )
    if most_heard is not None:
        _check_cost(config, len(over), [(s, h) for edge, s, h in stated if not edge.remove], rounds, most_heard)
    known: dict[Any, Graph] = {}
    graphs: dict[int, Graph] = {}
    for number in range(1, rounds + 1):
        rule = _rule(config, number)
        draws = config.redraw if config.redraw is not None else find_generator(rule)[1].name in REDRAWN
        drawn = f"{seed}|{number}" if draws and is_drawn(rule) else f"{seed}"
        active = tuple(place for place, (edge, _, _) in enumerate(stated) if _holds(edge, number))
        if (rule, drawn, active) not in known:
            graph = _graph(rule, names, over, generated, seed=_as_seed(drawn))
            for place in active:
                _put(graph, *stated[place], message, content, keys[place], reductions[place])
            known[rule, drawn, active] = graph
        graphs[number] = known[rule, drawn, active]
    return Topology(tuple(names), graphs)


def _check_cost(
    config: TopologyConfig, count: int, stated: Sequence[tuple[Sequence[str], Sequence[str]]], rounds: int, most: int
) -> None:
    """Refuse a topology over which too many messages would be heard, and say what it would cost."""
    edges = sum(len(speakers) * len(hearers) for speakers, hearers in stated) + _num_edges(config.generator, count)
    heard = edges * max(rounds - 1, 1)
    if heard > most:
        raise ConfigError(
            f"topology: {config.generator} over {count:,} agents has some {edges:,} edges; over {rounds} rounds about {heard:,} "
            f"messages would be heard, which takes some {heard * BYTES_HEARD / 1e9:.1f} GB before anything is said. Use a sparse "
            "topology, e.g. sparse(k=3), fewer agents or rounds, or pass --allow-huge."
        )


def _num_edges(rule: str, count: int) -> int:
    """Return how many edges a generator makes over a few agents, and about how many over more, from how its degree grows."""

    def made(size: int) -> int:
        return int(build_graph(rule, [str(n) for n in range(size)], seed=0).number_of_edges())

    if count <= PROBED:
        return made(count)
    few, more = (made(size) / size for size in (PROBED // 2, PROBED))
    # An agent hears as many of ten as of a thousand where a topology is sparse, ever more where it is dense.
    return int(count * (more + (more - few) * (count - PROBED) / (PROBED // 2)))


class _Members:
    """Agents by their own name, their group's, or `*`."""

    def __init__(self, names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> None:
        self._names, self._groups = names, groups
        self._known = {*names, *groups, "*"}

    def of(self, ends: Ends, where: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for end in (ends,) if isinstance(ends, str) else ends:
            if end not in self._known:
                raise UnknownName("agent", end, self._known, where=where)
            chosen = self._names if end == "*" else self._groups.get(end, (end,))
            found.update(dict.fromkeys(chosen))
        return tuple(found)


def _pairs(edge: EdgeConfig, members: _Members, place: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    where = f"topology.edges.{place}"
    speakers, hearers = members.of(edge.speakers, f"{where}.from"), members.of(edge.hearers, f"{where}.to")
    if len(speakers) == 1 and speakers == hearers:
        raise ConfigError(f"{where}: {speakers[0]!r} to itself; an agent's own last message is always in its prompt")
    return speakers, hearers


def _rule(config: TopologyConfig, number: int) -> str:
    for part in config.schedule:
        if _holds(part, number):
            return part.generator
    return config.generator


def _holds(part: EdgeConfig | ScheduleConfig, number: int) -> bool:
    if part.rounds is None:
        return True
    first, last = part.rounds
    return first <= number and (last is None or number <= last)


def _graph(rule: str, names: Sequence[str], over: Sequence[str], edge: Edge, *, seed: int) -> Graph:
    made = build_graph(rule, over, seed=seed)
    graph: Graph = type(made)()
    graph.add_nodes_from((name, made.nodes[name] if name in made else {}) for name in names)
    graph.add_edges_from((s, h, {"edge": data.get("edge", edge)}) for s, h, data in made.edges(data=True))
    return graph


def _keys(edge: EdgeConfig, speakers: Sequence[str], place: int) -> dict[str, str]:
    """Return speaker → public key of those whose messages are to be signed."""
    where = f"topology.edges.{place}.signed"
    if edge.signed is None:
        return {}
    if isinstance(edge.signed, str):
        return dict.fromkeys(speakers, public_key(edge.signed, where=where))
    if missing := [name for name in speakers if name not in edge.signed]:
        raise ConfigError(
            f"{where}: no key of {', '.join(missing)}, who speaks on this edge; give every speaker's, or one for all"
        )
    if unknown := [name for name in edge.signed if name not in speakers]:
        raise UnknownName("speaker", unknown[0], speakers, where=where)
    return {name: public_key(named, where=f"{where}.{name}") for name, named in edge.signed.items()}


def _reduction(
    edge: EdgeConfig, message: Form, content: Content, default: Reduction | None, place: int
) -> Reduction | None:
    """Return how an edge reduces messages: as it says itself, or as the debate says."""
    where = f"topology.edges.{place}.reduce"
    found = default if edge.reduce is None else reduction(edge.reduce, where=where)
    if edge.remove:
        return None
    _check_intact(found, edge.content or content, where)
    if found is None or edge.reduce is None:
        return found
    form = edge.message or message
    if form != "cipher":
        raise ConfigError(
            f"{where}: {edge.reduce} drops or merges positions of a CIPHER message, and this edge is heard as {form}, which "
            "says it whole; let it be message: cipher, or hear the beginning of a text by first_tokens"
        )
    if edge.seen == "answers":
        raise ConfigError(
            f"{where}: {edge.reduce} drops or merges positions of a message, and this edge shows answers only (seen: answers); "
            "let it show the last message, or drop reduce"
        )
    return found


def _check_intact(reduce: Reduction | None, content: Content, where: str) -> None:
    """Refuse a reduction of what a content control puts in a message's place."""
    if reduce is not None and content != "intact":
        raise ConfigError(
            f"{where}: {reduce.text} and content: {content} on one edge: dropped and merged positions change what a control is "
            "to keep, e.g. norms and entropies, so it controls for nothing; let one of them be left out (reduce: none, or "
            "content: intact)"
        )


def _put(
    graph: Graph,
    config: EdgeConfig,
    speakers: Sequence[str],
    hearers: Sequence[str],
    message: Form,
    content: Content,
    keys: Mapping[str, str],
    reduce: Reduction | None,
) -> None:
    pairs = [(s, h) for h in hearers for s in speakers if s != h]
    if config.remove:
        graph.remove_edges_from(pairs)
        return
    edge = Edge(
        message=config.message or message,
        is_stated=config.message is not None,
        encoder=config.encoder,
        content=config.content or content,
        seen=config.seen or "last",
        thinking=config.thinking,
        first_tokens=config.first_tokens,
        reduce=reduce,
        delay=config.delay,
        weight=config.weight,
    )
    if config.encoder is not None and not edge.wants_vectors:
        edge = replace(edge, encoder=None)
    edges = {name: replace(edge, signed=keys.get(name)) for name in speakers} if keys else dict.fromkeys(speakers, edge)
    graph.add_edges_from((s, h, {"edge": edges[s]}) for s, h in pairs)


def _as_seed(drawn: str) -> int:
    """Return a number for networkx: the debate's seed itself, or one of (seed, round)."""
    seed, _, number = drawn.partition("|")
    return int(seed) + 1_000_003 * int(number or 0)
