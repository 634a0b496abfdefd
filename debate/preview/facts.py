"""What a topology costs and how it is connected, before anything runs: counted from the plan, not estimated, but for tokens."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

import networkx as nx

from agents.errors import DebateError
from agents.json_text import parse_json
from debate.preview.heard import most_heard

if TYPE_CHECKING:
    from debate.config.schema import DebateConfig
    from debate.protocol.exchange import Exchange

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
MOCK_WIDTH, MOCK_BYTES = 16, 4
# UTF-8 bytes of a token of English text, about.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Facts:
    """Figures of one debate.

    Attributes:
        agents, edges: numbers over the union of all rounds.
        forms: edges by how they are heard.
        in_degree, out_degree: minimum, mean and maximum.
        diameter: the longest shortest path between agents that reach each other at all.
        unreached: ordered pairs of agents without any path.
        turns: messages said, each stored once.
        deliveries: messages heard; one said once may be heard by many.
        message_bytes: upper bound for all messages; None if an engine's width is unknown before it is loaded.
        generated_tokens: upper bound for all messages.
        heard_tokens: upper bound for messages in prompts, without questions and instructions.
        graphs: different graphs over the rounds.
    """

    agents: int
    edges: int
    forms: Mapping[str, int]
    in_degree: tuple[int, float, int]
    out_degree: tuple[int, float, int]
    diameter: int
    unreached: int
    turns: int
    deliveries: int
    message_bytes: int | None
    generated_tokens: int
    heard_tokens: int
    graphs: int


def facts(config: "DebateConfig", exchange: "Exchange") -> Facts:
    """Return the figures of a debate; no model is started."""
    whole = exchange.topology.union()
    plan = exchange.planned.plan
    lengths = [dict(nx.single_source_shortest_path_length(whole, name)) for name in whole]
    spoken = {turn: config.agents[turn.agent].is_control for turn in plan}
    heard = own = 0
    for turn, inbox in plan.items():
        own += inbox.own is not None
        heard += most_heard(config, exchange, turn, inbox)
    sizes = [_message_bytes(config, turn.agent, exchange.encoders[turn]) for turn in plan]
    forms = Counter(data["edge"].message if "edge" in data else "cipher" for _, _, data in whole.edges(data=True))
    return Facts(
        agents=len(whole),
        edges=whole.number_of_edges(),
        forms=dict(forms),
        in_degree=_spread([degree for _, degree in whole.in_degree()]),
        out_degree=_spread([degree for _, degree in whole.out_degree()]),
        diameter=max((max(found.values()) for found in lengths), default=0),
        unreached=sum(len(whole) - len(found) for found in lengths),
        turns=len(plan),
        deliveries=sum(len(inbox.heard) for inbox in plan.values()),
        message_bytes=None if None in sizes else sum(size for size in sizes if size is not None),
        generated_tokens=config.max_tokens * sum(not is_control for is_control in spoken.values()),
        heard_tokens=heard + own * config.max_tokens,
        graphs=len(set(exchange.topology.graphs.values())),
    )


def lines(found: Facts) -> list[str]:
    """Return the figures as sentences of a table: name, then value."""
    forms = ", ".join(f"{count} {form}" for form, count in sorted(found.forms.items())) or "none"
    reached = "" if not found.unreached else f"; {found.unreached} ordered pairs of agents have no path"
    size = "not known before the model is here" if found.message_bytes is None else f"at most {found.message_bytes:,}"
    return [
        f"agents: {found.agents}",
        f"edges: {found.edges} ({forms}), {found.graphs} graph(s) over the rounds",
        f"in-degree: {_range(found.in_degree)}; out-degree: {_range(found.out_degree)}",
        f"diameter: {found.diameter}{reached}",
        f"a debate: {found.turns} messages said, {found.deliveries} heard",
        f"bytes of messages: {size}",
        f"tokens: at most {found.generated_tokens:,} generated, {found.heard_tokens:,} of messages in prompts",
    ]


def model_of(config: "DebateConfig", name: str) -> str:
    """Return what an agent speaks by: its model, or the control that it is."""
    agent = config.agents[name]
    return f"{agent.role} (control)" if agent.is_control else config.model_of(name)


def _message_bytes(config: "DebateConfig", name: str, encoder: str | None) -> int | None:
    agent = config.agents[name]
    if encoder is None or agent.is_control:
        return config.max_tokens * BYTES_PER_TOKEN
    backend, model = agent.backend or config.backend, agent.model or config.model
    if backend == "mock":
        return config.max_tokens * int(config.options.get("width", MOCK_WIDTH)) * MOCK_BYTES
    width = _width(model)
    return None if width is None else config.max_tokens * width * DTYPE_BYTES.get(config.dtype_of(name), 4)


def _width(model: str) -> int | None:
    """Return the embedding width in a model's config where that lies on this machine; nothing is fetched."""
    from debate.preview.engines import model_folder

    try:
        folder = model_folder(model)
        if folder is None:
            return None
        found = parse_json((folder / "config.json").read_text())
        found = {**found, **(found.get("text_config") or {})}
    except (OSError, ValueError, DebateError):
        return None
    width = found.get("hidden_size") or found.get("n_embd")
    return int(width) if width else None


def _spread(degrees: list[int]) -> tuple[int, float, int]:
    return min(degrees, default=0), mean(degrees) if degrees else 0.0, max(degrees, default=0)


def _range(spread: tuple[int, float, int]) -> str:
    least, average, most = spread
    return str(least) if least == most else f"{least} to {most}, mean {average:.1f}"
