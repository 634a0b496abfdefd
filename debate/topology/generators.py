"""Topologies by name, as directed graphs: u→v means "v hears u". Nodes are agents' names, in the order they are heard.

A generator takes the names and returns a graph whose nodes stand in that order; keyword parameters are what a config
may set, e.g. `ring(hops=2)`. Those that draw take `seed`. Names decide nothing: agents are told apart by their place.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import networkx as nx

from agents.errors import ConfigError
from agents.registry import load_named, made
from kernels.names import Named

Names = Sequence[str]
Graph: TypeAlias = "nx.DiGraph[str]"
Generator = Callable[..., Graph]


def complete(names: Names) -> Graph:
    """Everyone hears everyone else (CIPHER, Algorithm 1; Du et al., 2023)."""
    return _graph(names, ((s, h) for h in range(len(names)) for s in range(len(names)) if s != h))


def ring(names: Names, *, hops: int = 1, both: bool = True) -> Graph:
    """Everyone hears the agents up to `hops` places before, and after if `both`."""
    _at_least("ring", "hops", hops, 1)
    # Once around is everyone, and a number may be of any size.
    steps = [step for hop in range(1, min(hops, len(names)) + 1) for step in ((-hop, hop) if both else (-hop,))]
    return _graph(names, (((h + step) % len(names), h) for h in range(len(names)) for step in steps))


def chain(names: Names, *, both: bool = False) -> Graph:
    """Everyone hears the agent before, and the one after if `both` (MacNet's chain; Qian et al., 2024)."""
    return _from_undirected(names, nx.path_graph(len(names)), both=both)


def star(names: Names) -> Graph:
    """The first agent and every other hear each other (DoV's centralised debate)."""
    return _from_undirected(names, nx.star_graph(max(len(names) - 1, 0)) if names else nx.Graph())


def tree(names: Names, *, branching: int = 2, both: bool = True) -> Graph:
    """A balanced tree rooted in the first agent; leaves report upwards, and the root's word goes down if `both`."""
    _at_least("tree", "branching", branching, 1)
    edges = []
    for child in range(1, len(names)):
        parent = (child - 1) // branching
        edges += [(child, parent), (parent, child)] if both else [(child, parent)]
    return _graph(names, edges)


def sparse(names: Names, *, k: int = 2) -> Graph:
    """Everyone hears the k nearest places around a circle: sparse debate (Li et al., 2024, arXiv:2406.11776)."""
    _at_least("sparse", "k", k, 1)
    nearest = [(-1) ** (rank + 1) * (rank // 2 + 1) for rank in range(min(k, len(names) - 1))]
    return _graph(names, (((h + step) % len(names), h) for h in range(len(names)) for step in nearest))


def layered(names: Names, *, layers: int = 2) -> Graph:
    """Agents in `layers` equal layers; each hears the whole layer before (DyLAN, Liu et al., 2023; MacNet's MLP)."""
    _at_least("layered", "layers", layers, 1)
    layer = [place * layers // max(len(names), 1) for place in range(len(names))]
    pairs = ((s, h) for h in range(len(names)) for s in range(h) if layer[h] - layer[s] == 1)
    graph = _graph(names, pairs)
    nx.set_node_attributes(graph, dict(zip(names, layer, strict=True)), "layer")
    return graph


def small_world(names: Names, *, k: int = 4, p: float = 0.1, seed: int = 0) -> Graph:
    """A ring of k neighbours with edges rewired with probability p (Watts and Strogatz, 1998)."""
    _at_least("small_world", "k", k, 2)
    _share("small_world", "p", p)
    k = min(k, len(names) - 1)
    if k < 2:
        return complete(names)
    return _from_undirected(names, nx.connected_watts_strogatz_graph(len(names), k, p, tries=1000, seed=seed))


def erdos_renyi(names: Names, *, p: float = 0.5, seed: int = 0) -> Graph:
    """Each ordered pair is an edge with probability p (Erdős and Rényi, 1959; Gilbert, 1959)."""
    _share("erdos_renyi", "p", p)
    return _graph(names, nx.fast_gnp_random_graph(len(names), p, seed=seed, directed=True).edges)


def scale_free(names: Names, *, m: int = 2, seed: int = 0) -> Graph:
    """Preferential attachment of m edges an agent: few hubs, many leaves (Barabási and Albert, 1999)."""
    _at_least("scale_free", "m", m, 1)
    m = min(m, len(names) - 1)
    return _graph(names, []) if m < 1 else _from_undirected(names, nx.barabasi_albert_graph(len(names), m, seed=seed))


def grid(names: Names, *, columns: int = 0, periodic: bool = False) -> Graph:
    """Rows of `columns` agents (0: as square as it goes), each hearing its neighbours; a torus if `periodic`."""
    _at_least("grid", "columns", columns, 0)
    count = len(names)
    columns = min(columns, max(count, 1)) or max(1, round(count**0.5))
    rows = -(-count // columns)
    lattice = nx.grid_2d_graph(rows, columns, periodic=periodic and min(rows, columns) > 2)
    whole = nx.relabel_nodes(lattice, {place: place[0] * columns + place[1] for place in lattice})
    return _from_undirected(names, whole.subgraph(range(count)))


def bipartite(names: Names, *, judges: int = 1, both: bool = False) -> Graph:
    """Debaters and judges: the last `judges` agents hear all before them, and are heard by them if `both`."""
    _at_least("bipartite", "judges", judges, 1)
    debaters = max(len(names) - judges, 0)
    whole = nx.complete_bipartite_graph(debaters, len(names) - debaters)
    return _from_undirected(names, whole, both=both)


def teams(names: Names, *, size: int = 3, bridges: int = 1) -> Graph:
    """Dense inside teams of `size`, sparse across: the first `bridges` of a team and of the next hear each other."""
    _at_least("teams", "size", size, 1)
    _at_least("teams", "bridges", bridges, 0)
    members = [range(start, min(start + size, len(names))) for start in range(0, len(names), size)]
    edges = [(s, h) for team in members for h in team for s in team if s != h]
    for team, following in zip(members, [*members[1:], *members[:1]], strict=True):
        if team != following:
            for here, there in zip(team[:bridges], following[:bridges], strict=False):
                edges += [(here, there), (there, here)]
    graph = _graph(names, edges)
    nx.set_node_attributes(graph, {name: place // size for place, name in enumerate(names)}, "team")
    return graph


def dynamic(names: Names, *, degree: int = 2, seed: int = 0) -> Graph:
    """Everyone hears `degree` others, drawn by the seed; a debate draws it again every round."""
    _at_least("dynamic", "degree", degree, 1)
    draw = random.Random(f"dynamic|{seed}")
    edges = []
    for hearer in range(len(names)):
        # One place more than is wanted, so that the hearer itself can be left out.
        drawn = draw.sample(range(len(names)), min(degree + 1, len(names)))
        edges += [(speaker, hearer) for speaker in [place for place in drawn if place != hearer][:degree]]
    return _graph(names, edges)


def custom(names: Names) -> Graph:
    """No edges but those that the config lists."""
    return _graph(names, [])


TOPOLOGIES: dict[str, Generator] = {
    "bipartite": bipartite,
    "chain": chain,
    "complete": complete,
    "custom": custom,
    "dynamic": dynamic,
    "erdos_renyi": erdos_renyi,
    "grid": grid,
    "layered": layered,
    "ring": ring,
    "scale_free": scale_free,
    "small_world": small_world,
    "sparse": sparse,
    "star": star,
    "teams": teams,
    "tree": tree,
}
REDRAWN = ("dynamic",)
GROUP = "debate.topologies"


def find_generator(topology: str) -> tuple[Generator, Named]:
    """Return the generator that a config names, with its parameters: a known name or a dotted path.

    Raises:
        UnknownName: no such topology.
        ConfigError: a parameter that it does not take.
    """
    return load_named(topology, "topology", GROUP, TOPOLOGIES, positional=1)


def is_drawn(topology: str) -> bool:
    """Whether a topology depends on a seed."""
    generator, _ = find_generator(topology)
    return "seed" in (getattr(generator, "__kwdefaults__", None) or {})


def build_graph(topology: str, names: Names, *, seed: int | None = None) -> Graph:
    """Return the graph of a topology over agents.

    Args:
        topology: a name, with parameters if needed, e.g. `sparse(k=3)`.
        names: the agents, in order.
        seed: random seed of topologies that draw; a seed among the topology's own parameters takes precedence.

    Raises:
        UnknownName: no such topology.
        ConfigError: an unknown parameter, or an impossible value.
    """
    generator, call = find_generator(topology)
    drawn = {"seed": seed} if seed is not None and is_drawn(topology) and "seed" not in call.parameters else {}
    graph = made(generator, call, "topology", names, **drawn)
    if not isinstance(graph, nx.DiGraph) or list(graph.nodes) != list(names):
        raise ConfigError(f"topology {topology!r} must return a networkx.DiGraph whose nodes are the names in order")
    if alone := next(iter(nx.nodes_with_selfloops(graph)), None):
        raise ConfigError(
            f"topology {topology!r} has an edge from {alone!r} to itself; an agent's own last message is always in its prompt"
        )
    return graph


def _graph(names: Names, pairs: Iterable[tuple[int, int]]) -> Graph:
    """Return the graph of (speaker's place, hearer's place) pairs, without loops."""
    graph: Graph = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from((names[s], names[h]) for s, h in pairs if s != h)
    return graph


def _from_undirected(names: Names, whole: "nx.Graph[int]", *, both: bool = True) -> Graph:
    """Return a graph over places as one over names: each edge both ways, or from the earlier place to the later."""
    pairs = [(min(edge), max(edge)) for edge in whole.edges]
    return _graph(names, [*pairs, *((h, s) for s, h in pairs)] if both else pairs)


def _at_least(topology: str, key: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"topology {topology!r}: {key} must be at least {least}; got {value}")


def _share(topology: str, key: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"topology {topology!r}: {key} must be between 0 and 1; got {value}")
