"""Topology files → the plain data of a config: GraphML and node-link JSON as networkx writes them, and YAML.

Node attributes are an agent's keys, edge attributes an edge's keys (`message`, `delay`, …); an undirected edge is
heard both ways. What is not a key of either (positions, colours) is refused, so that a misspelt key is not silently
nothing.
"""

import json
from pathlib import Path
from typing import Any

import networkx as nx
import yaml

from agents.errors import ConfigError


def read_topology_file(path: Path) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Return a file's agents (name → keys) and edges (mappings with `from` and `to`).

    Raises:
        ConfigError: not there, not readable as what its name says, or without nodes.
    """
    try:
        if path.suffix == ".graphml":
            graph = nx.read_graphml(path)
        elif path.suffix == ".json":
            graph = nx.node_link_graph(json.loads(path.read_text()), edges="edges")
        elif path.suffix in (".yaml", ".yml"):
            return _from_yaml(path)
        else:
            raise ConfigError(f"{path}: a topology file ends in .graphml, .json (node-link) or .yaml")
    except OSError as error:
        raise ConfigError(f"cannot read the topology {path}: {error.strerror or error}") from error
    except (nx.NetworkXException, ValueError, KeyError, TypeError, SyntaxError) as error:
        raise ConfigError(f"{path}: not a {path.suffix[1:]} graph ({type(error).__name__}: {error})") from error
    if not graph:
        raise ConfigError(f"{path}: a topology needs at least one node")
    agents = {str(name): dict(data) for name, data in graph.nodes(data=True)}
    edges = []
    for speaker, hearer, data in graph.edges(data=True):
        ends = [(str(speaker), str(hearer))]
        if not graph.is_directed() and speaker != hearer:
            ends.append((str(hearer), str(speaker)))
        keys = {key: value for key, value in data.items() if key not in ("id", "key")}
        edges += [{"from": s, "to": h, **keys} for s, h in ends]
    return agents, edges


def _from_yaml(path: Path) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    try:
        found = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or set(found) - {"agents", "edges"}:
        raise ConfigError(f"{path}: a topology file has the keys agents and edges")
    return dict(found.get("agents") or {}), list(found.get("edges") or [])
