"""Config → who hears whom, in which order, in what form: everything about a debate that needs no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.errors import ConfigError
from debate.config.schema import DebateConfig
from debate.protocol.protocol import Planned
from debate.protocol.rules import find_protocol
from debate.topology.build import MOST_HEARD, Topology, build_topology
from debate.topology.edge import Edge
from debate.transcript import TurnKey

TEXT_ONLY = "none"
# The backend that only writes text, whatever its debate does.
PERSON = "human"


@dataclass(frozen=True)
class Exchange:
    """A topology under a protocol.

    Attributes:
        topology: graphs by round.
        planned: every turn, with what it hears.
        encoders: turn → encoder, or None for text.
    """

    topology: Topology
    planned: Planned
    encoders: Mapping[TurnKey, str | None]


def build_exchange(config: DebateConfig) -> Exchange:
    """Return the exchange of a config.

    Raises:
        ConfigError: an unknown name, an impossible parameter, or a message requested in two encoders at once.
    """
    judges = tuple(name for name, agent in config.agents.items() if agent.is_judge)
    topology = build_topology(
        config.topology,
        tuple(config.agents),
        rounds=config.rounds,
        message=config.message,
        content=config.content,
        reduce=config.reduce,
        groups=config.groups,
        judges=judges,
        seed=config.seed,
        most_heard=None if config.execution.allow_huge else MOST_HEARD,
    )
    protocol, parameters = find_protocol(config.protocol)
    planned = protocol(
        topology.graph,
        config.rounds,
        judges=judges,
        chairs=tuple(name for name, agent in config.agents.items() if agent.is_chair),
        order=config.order,
        seed=config.seed,
        **parameters,
    )
    return Exchange(topology, planned, _encoders(config, planned))


def own_encoder(config: DebateConfig, name: str) -> str | None:
    """Return the encoder that an agent speaks by where it speaks CIPHER; None if it only speaks text."""
    agent = config.agents[name]
    if agent.encoder is None and (agent.backend or config.backend) == PERSON:
        return None
    encoder = agent.encoder or config.encoder
    return None if encoder == TEXT_ONLY else encoder


def _encoders(config: DebateConfig, planned: Planned) -> dict[TurnKey, str | None]:
    """Return how each turn is said: CIPHER if anyone who debates is to hear vectors of it, else text.

    A turn that only judges hear, or nobody, is said as the agent's turn before, so that listening to a debate does not
    change it. Where nobody hears the agent at all, judges and agents without encoder speak text, others as the debate.
    """
    found: dict[TurnKey, str | None] = {}
    before: dict[str, str | None] = {
        name: None if agent.is_judge or config.message == "text" else own_encoder(config, name)
        for name, agent in config.agents.items()
    }
    settled: set[str] = set()
    for turn in planned.plan:
        hearers = [(hearer.agent, edge) for hearer, edge in planned.hearers(turn)]
        debating = [(hearer, edge) for hearer, edge in hearers if hearer not in planned.judges]
        if debating or (hearers and turn.agent not in settled):
            before[turn.agent] = _encoder(config, turn, debating or hearers)
            settled.add(turn.agent)
        found[turn] = before[turn.agent]
    return found


def _encoder(config: DebateConfig, turn: TurnKey, hearers: Sequence[tuple[str, Edge]]) -> str | None:
    own = own_encoder(config, turn.agent)
    wanted: dict[str, str] = {}
    for hearer, edge in hearers:
        if not edge.wants_vectors or edge.seen == "answers":
            continue
        if own is None and edge.encoder is None:
            if edge.is_stated and not config.agents[turn.agent].is_control:
                raise ConfigError(
                    f"topology.edges: {turn.agent} to {hearer} is {edge.message}, but {turn.agent} has encoder: none "
                    "and only speaks text. Make the edge text, or give the agent an encoder."
                )
            continue
        wanted.setdefault(edge.encoder or own or "", hearer)
    if len(wanted) > 1:
        (first, a), (second, b), *_ = wanted.items()
        raise ConfigError(
            f"topology.edges: {turn.agent} would have to say round {turn.round} in two encoders, {first} for {a} and "
            f"{second} for {b}. A turn is said once: give both edges one encoder, or different rounds."
        )
    return next(iter(wanted), None)
