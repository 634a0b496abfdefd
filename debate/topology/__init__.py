"""Topologies as data: who hears whom, in what language, when. Public names are resolved lazily."""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Edge": "debate.topology.edge",
    "EdgeConfig": "debate.topology.config",
    "Topology": "debate.topology.build",
    "TopologyConfig": "debate.topology.config",
    "build_topology": "debate.topology.build",
    "check": "debate.topology.checks",
    "facts": "debate.topology.facts",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
