"""Debates: config, topology, protocol, the loop, transcripts and decisions. Public names are resolved lazily."""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Debate": "debate.orchestrator",
    "DebateConfig": "debate.config",
    "Debater": "debate.ask",
    "Decision": "debate.decision",
    "Question": "debate.transcript",
    "RunFolder": "debate.run_folder",
    "Transcript": "debate.transcript",
    "Turn": "debate.transcript",
    "build_debate": "debate.setup",
    "build_exchange": "debate.exchange",
    "build_graph": "debate.graph",
    "build_topology": "debate.topology.build",
    "decision_rule": "debate.decision",
    "load_config": "debate.config",
    "play": "debate.orchestrator",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
