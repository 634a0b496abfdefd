"""Topology errors and warnings, found before anything runs, each with what to do about it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import networkx as nx

from agents.beliefs.cards import is_belief_backend
from agents.registry import parse_named

if TYPE_CHECKING:
    from debate.config.schema import DebateConfig
    from debate.protocol.exchange import Exchange


@dataclass(frozen=True)
class Finding:
    """One sentence about a topology.

    Attributes:
        kind: an `error` is refused, a `warning` is shown; a `note` is what only loading the models would tell.
        text: description of the problem, and what to do.
    """

    kind: Literal["error", "warning", "note"]
    text: str


def check(config: "DebateConfig", exchange: "Exchange") -> list[Finding]:
    """Return what is wrong with a debate's topology; needs no model."""
    return [
        *_decision(config, exchange),
        *_isolated(config, exchange),
        *_silent_edges(exchange),
        *_strangers(config, exchange),
    ]


def _decision(config: "DebateConfig", exchange: "Exchange") -> list[Finding]:
    """A decision that no agent reaches."""
    call = parse_named(config.decision, "decision")
    heard = {turn.agent for turn, inbox in exchange.planned.plan.items() if inbox.heard}
    judges = [name for name, agent in config.agents.items() if agent.is_judge]
    if call.name == "judge":
        name = call.parameters.get("agent") or next(iter(judges), None)
        if name is None or name not in config.agents:
            wanted = f"agent {name!r}" if name else "agent of role judge"
            return [
                Finding("error", f"decision judge: the debate has no {wanted}. Add `judge: {{role: judge}}` to agents.")
            ]
        if name not in heard:
            text = f"decision judge: {name} decides but hears nobody. Add an edge, e.g. {{from: '*', to: {name}}}."
            return [Finding("error", text)]
    if call.name == "lowest_temperature" and config.rounds > 1 and len(config.agents) > 1:
        name = config.deciding_agent
        if name not in heard:
            text = (
                f"{name} decides (the lowest temperature) but hears nobody, so no debate can change the answer. "
                "Lower another agent's temperature, add an edge to it, or take another decision, e.g. majority."
            )
            return [Finding("warning", text)]
    return [
        Finding("error", f"{name} is a judge but hears nobody. Add an edge to it, or take it out.")
        for name in judges
        if name not in heard
    ]


def _isolated(config: "DebateConfig", exchange: "Exchange") -> list[Finding]:
    """Agents that nobody hears and that hear nobody, and groups that never exchange a word."""
    whole = exchange.topology.union()
    if len(whole) < 2 or config.rounds == 1:
        return []
    alone = list(nx.isolates(whole))
    found = []
    if alone:
        listed = ", ".join(alone[:5]) + (" …" if len(alone) > 5 else "")
        text = (
            f"{listed}: isolated, hearing nobody and heard by nobody in any round. "
            "Add an edge, take the agent out, or draw a denser graph (another seed, a larger p)."
        )
        found.append(Finding("warning", text))
    parts = [part for part in nx.weakly_connected_components(whole) if len(part) > 1]
    if len(parts) > 1:
        text = (
            f"{len(parts)} groups never exchange a message: these are {len(parts)} debates. Add an edge between them."
        )
        found.append(Finding("warning", text))
    return found


def _silent_edges(exchange: "Exchange") -> list[Finding]:
    """Edges that the protocol or the delay never lets carry a message."""
    edges = {(speaker, hearer) for graph in set(exchange.topology.graphs.values()) for speaker, hearer in graph.edges}
    heard = {(key.agent, turn.agent) for turn, inbox in exchange.planned.plan.items() for key in inbox.heard}
    silent = sorted(edges - heard)
    if not silent or exchange.planned.rounds == 1:
        return []
    speaker, hearer = silent[0]
    text = (
        f"{len(silent)} of {len(edges)} edges never carry a message under this protocol, its delays and its number of "
        f"rounds, e.g. {speaker} to {hearer}."
    )
    return [Finding("warning", text)]


def _strangers(config: "DebateConfig", exchange: "Exchange") -> list[Finding]:
    """CIPHER edges between agents of different models."""

    def model(name: str) -> tuple[str, str]:
        return (config.agents[name].backend or config.backend, config.model_of(name))

    for turn, inbox in exchange.planned.plan.items():
        for key, edge in zip(inbox.heard, inbox.edges, strict=True):
            # A belief over labels is said in the hearer's tokens.
            if is_belief_backend(model(key.agent)[0]) or is_belief_backend(model(turn.agent)[0]):
                continue
            if edge.wants_vectors and exchange.encoders[key] and model(key.agent) != model(turn.agent):
                ends = f"{key.agent} ({model(key.agent)[1]}) speaks CIPHER to {turn.agent} ({model(turn.agent)[1]})"
                text = f"{ends}: how vectors pass between two models is said when both are loaded. Make the edge text to be sure."
                return [Finding("note", text)]
    return []
