"""Topologies by name, as directed graphs: u→v means "v hears u". Nodes are agents' names, in the order they are heard."""

from collections.abc import Callable, Sequence

import networkx as nx

from agents.errors import UnknownName


def complete(names: Sequence[str]) -> "nx.DiGraph[str]":
    """Everyone hears everyone else (CIPHER, Algorithm 1; Du et al., 2023)."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from((speaker, hearer) for hearer in names for speaker in names if speaker != hearer)
    return graph


TOPOLOGIES: dict[str, Callable[[Sequence[str]], "nx.DiGraph[str]"]] = {"complete": complete}


def build_graph(topology: str, names: Sequence[str]) -> "nx.DiGraph[str]":
    """Return the graph of a topology over agents.

    Raises:
        UnknownName: no such topology.
    """
    if topology not in TOPOLOGIES:
        raise UnknownName("topology", topology, TOPOLOGIES)
    return TOPOLOGIES[topology](names)


def heard_by(graph: "nx.DiGraph[str]", agent: str) -> tuple[str, ...]:
    """Return whom an agent hears, in the order of the nodes."""
    speakers = set(graph.predecessors(agent))
    return tuple(name for name in graph.nodes if name in speakers)
