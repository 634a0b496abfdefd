"""Debates: config, topology, protocol, the loop, transcripts and decisions. Public names are resolved lazily."""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Debate": "debate.orchestrator",
    "DebateConfig": "debate.config.schema",
    "DebateSession": "debate.ask",
    "Debater": "debate.ask",
    "Decision": "debate.decision.decision",
    "Question": "agents.question",
    "RunFolder": "debate.run_folder.folder",
    "Transcript": "debate.transcript",
    "Turn": "debate.transcript",
    "build_debate": "debate.build",
    "build_exchange": "debate.protocol.exchange",
    "build_graph": "debate.topology.generators",
    "build_topology": "debate.topology.build",
    "decision_rule": "debate.decision.rules",
    "load_config": "debate.config.load",
    "play": "debate.orchestrator",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
