"""A topology as a file for other tools."""

import json
from pathlib import Path

import networkx as nx

from agents.errors import ConfigError


def write_topology_file(path: Path, graph: "nx.DiGraph[str]") -> Path:
    """Write a topology's graph as GraphML or node-link JSON, by the path's ending; return the path."""
    plain: nx.DiGraph[str] = nx.DiGraph()
    plain.add_nodes_from(graph.nodes)
    for speaker, hearer, data in graph.edges(data=True):
        edge = data.get("edge")
        keys = {k: v for k, v in vars(edge).items() if v is not None and k != "is_stated"} if edge else {}
        plain.add_edge(speaker, hearer, **keys)
    if path.suffix == ".graphml":
        nx.write_graphml(plain, path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(nx.node_link_data(plain, edges="edges"), indent=1) + "\n")
    else:
        raise ConfigError(f"{path}: a topology is written as .graphml or .json")
    return path
