"""Topology files → the plain data of a config: GraphML and node-link JSON as networkx writes them, and YAML.

Node attributes are an agent's keys, edge attributes an edge's keys (`message`, `delay`, …); an undirected edge is
heard both ways. What is not a key of either (positions, colours) is refused, so that a misspelt key is not silently
nothing.
"""

import json
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.parsers import expat

import networkx as nx

from agents.errors import ConfigError
from agents.json_text import named_once
from agents.yaml_file import one_line, read_yaml
from kernels.names import did_you_mean

# A graph of some hundred thousand edges.
MAX_BYTES = 32_000_000


def read_topology_file(path: Path) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Return a file's agents (name → keys) and edges (mappings with `from` and `to`).

    Raises:
        ConfigError: the file does not exist, is not of the kind that its name says, or has no nodes.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES:,} bytes; a topology of that size cannot be played")
        if path.suffix == ".graphml":
            graph = _from_graphml(path)
        elif path.suffix == ".json":
            graph = _from_node_link(path)
        elif path.suffix in (".yaml", ".yml"):
            return _from_yaml(path)
        else:
            raise ConfigError(f"{path}: a topology file ends in .graphml, .json (node-link) or .yaml")
    except OSError as error:
        raise ConfigError(f"cannot read the topology {path}: {error.strerror or error}") from error
    except (nx.NetworkXException, ValueError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        raise ConfigError(
            f"{path}: not a {path.suffix[1:]} graph ({type(error).__name__}: {one_line(error)})"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply to be a graph") from error
    if not graph:
        raise ConfigError(f"{path}: a topology needs at least one node")
    agents = {str(name): dict(data) for name, data in graph.nodes(data=True)}
    if len(agents) < len(graph):
        raise ConfigError(f"{path}: two nodes have the same name once written as text, e.g. 1 and '1'; rename one")
    edges = []
    for speaker, hearer, data in graph.edges(data=True):
        ends = [(str(speaker), str(hearer))]
        if not graph.is_directed() and speaker != hearer:
            ends.append((str(hearer), str(speaker)))
        keys = {key: value for key, value in data.items() if key not in ("id", "key")}
        edges += [{"from": s, "to": h, **keys} for s, h in ends]
    return agents, edges


def _from_graphml(path: Path) -> Any:
    if _has_doctype(path.read_bytes()):
        raise ConfigError(f"{path}: a topology has no use for a DOCTYPE; remove it")
    with warnings.catch_warnings():
        # An attribute without a type is a text; the config's own check says whether it may be.
        warnings.simplefilter("ignore")
        return nx.read_graphml(path)


def _has_doctype(content: bytes) -> bool:
    """Whether an XML document declares its type, in which entities could stand for any length of text.

    It stands before the first element, in whatever encoding and behind comments of any length: the parser is asked.
    """
    parser, found = expat.ParserCreate(), []

    def end(kind: bool) -> None:
        found.append(kind)
        raise StopIteration

    parser.StartDoctypeDeclHandler = lambda *_: end(True)
    parser.StartElementHandler = lambda *_: end(False)
    # What is no XML is told by whoever reads it whole.
    with suppress(StopIteration, expat.ExpatError):
        parser.Parse(content, True)
    return found == [True]


def _from_node_link(path: Path) -> Any:
    found = json.loads(
        path.read_text(encoding="utf-8"), object_pairs_hook=named_once("the key {!r} stands twice in one mapping")
    )
    if not isinstance(found, dict) or "nodes" not in found:
        raise ConfigError(
            f"{path}: node-link JSON is a mapping with nodes and edges, as networkx.node_link_data writes it"
        )
    # networkx wrote `links` before version 3.4.
    named = [key for key in ("edges", "links") if key in found]
    if len(named) != 1:
        has = "both edges and links" if named else "neither edges nor links"
        raise ConfigError(f"{path}: {has}; write the edges once, under edges (an empty list for none)")
    graph = nx.node_link_graph({"directed": False, "multigraph": False, **found}, edges=named[0])
    stated = dict.fromkeys(node["id"] for node in found["nodes"])
    for name in graph:
        if name not in stated:
            raise ConfigError(
                f"{path}: an edge names {str(name)!r}, which is none of the nodes: {', '.join(map(str, stated)) or 'none'}."
                f"{did_you_mean(str(name), map(str, stated))}"
            )
    return graph


def _from_yaml(path: Path) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    found = read_yaml(path)
    if not isinstance(found, dict) or set(found) - {"agents", "edges"}:
        raise ConfigError(f"{path}: a topology file has the keys agents and edges")
    agents, edges = found.get("agents") or {}, found.get("edges") or []
    if not isinstance(agents, dict) or not isinstance(edges, list):
        raise ConfigError(f"{path}: agents is a mapping of name to keys, edges a list of mappings with from and to")
    return dict(agents), list(edges)
