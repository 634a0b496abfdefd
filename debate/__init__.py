"""Debates: config, topology, protocol, the loop, transcripts and decisions. Public names are resolved lazily."""

from typing import TYPE_CHECKING

try:
    from kernels.lazy import lazy_names
except ImportError as error:
    raise ImportError(
        "cipher-debate's package 'kernels' is hidden by another of that name (Hugging Face's, perhaps). Install cipher-debate in "
        "an environment of its own (`uv tool install`, `pipx`), and let other programs reach it over HTTP (`debate serve`)."
    ) from error

if TYPE_CHECKING:
    from agents.question import Question as Question
    from debate.answer import Answer as Answer
    from debate.ask import Debater as Debater
    from debate.ask import DebateSession as DebateSession
    from debate.build import build_debate as build_debate
    from debate.config.load import load_config as load_config
    from debate.config.schema import DebateConfig as DebateConfig
    from debate.decision.decision import Decision as Decision
    from debate.decision.rules import decision_rule as decision_rule
    from debate.orchestrator import Debate as Debate
    from debate.orchestrator import play as play
    from debate.protocol.exchange import build_exchange as build_exchange
    from debate.run_folder.folder import RunFolder as RunFolder
    from debate.topology.build import build_topology as build_topology
    from debate.topology.generators import build_graph as build_graph
    from debate.transcript import Transcript as Transcript
    from debate.transcript import Turn as Turn
__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Answer": "debate.answer",
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
    },
)
