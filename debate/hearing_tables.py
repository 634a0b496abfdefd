"""Which turns are heard on other tables than their speaker's, or as content controls: known before they begin, so that the
engine renders them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from agents.errors import ConfigError
from agents.hearing_table import HearingTable
from agents.speakers.agent import Agent
from agents.speakers.speaker import Speaker
from debate.contents import refusal
from debate.protocol.exchange import Exchange
from debate.transcript import TurnKey
from kernels.content import RENDERED_CONTENTS, Content


def hearing_tables(
    exchange: Exchange, agents: Mapping[str, Speaker], top_beliefs: int
) -> dict[TurnKey, tuple[HearingTable, ...]]:
    """Return the tables of each turn's hearers that are not its speaker's, of the same tokenizer, and what controls need.

    Args:
        exchange: who hears whom, and in which encoder.
        agents: name → agent.
        top_beliefs: number of beliefs that a message keeps of each step.

    Raises:
        ConfigError: an engine cannot render for a hearer, which would hear the kept beliefs alone, and these are not all.
    """
    found: dict[TurnKey, tuple[HearingTable, ...]] = {}
    for turn, encoder in exchange.encoders.items():
        speaker = agents[turn.agent]
        # Others than language models say beliefs that a message keeps whole, or text.
        if encoder is None or not isinstance(speaker, Agent):
            continue
        tables: dict[str, HearingTable] = {}
        for hearer, content in _rendered_for(exchange, turn, agents):
            model, table = hearer.backend.fingerprint, hearer.backend.table
            if table is not None and speaker.backend.capabilities.renders:
                wanted = HearingTable(model, table, content)
                tables[wanted.name] = wanted
            elif content != "intact":
                raise ConfigError(
                    f"{hearer.name} is to hear the control {content} of {turn.agent}, and the engines of both have to take part "
                    "in rendering it. Let both speak by the backends transformers or vllm, or take swapped, silence or echo"
                )
            elif top_beliefs < speaker.backend.fingerprint.vocabulary:
                why = (
                    f"{turn.agent}'s backend does not render for it"
                    if table is not None
                    else f"{hearer.name}'s backend does not give it"
                )
                raise ConfigError(
                    f"{hearer.name} hears {turn.agent} on another table of the same tokenizer, and {why}: it would hear the "
                    f"{top_beliefs} likeliest tokens of each step in place of the whole belief. Let both speak by the backends "
                    "transformers or vllm, or let text pass between them (message: text on their edges)"
                )
        if tables:
            found[turn] = tuple(tables.values())
    return found


def control_tables(
    exchange: Exchange, agents: Mapping[str, Speaker], contents: Sequence[Content]
) -> dict[TurnKey, tuple[HearingTable, ...]]:
    """Return the tables of each turn's hearers with each of some controls on them, wherever such a control can be heard."""
    found: dict[TurnKey, dict[str, HearingTable]] = {}
    for turn, encoder in exchange.encoders.items():
        for heard_by, edge in exchange.planned.hearers(turn):
            hearer, speaker = agents[heard_by.agent], agents[turn.agent]
            for content in contents:
                asked = replace(edge, content=content)
                is_heard = hearer.listens and not refusal(asked, encoder, speaker, hearer, has_spoken=True)
                table = hearer.backend.table
                if content in RENDERED_CONTENTS and is_heard and table is not None:
                    one = HearingTable(hearer.backend.fingerprint, table, content)
                    found.setdefault(turn, {})[one.name] = one
    return {turn: tuple(tables.values()) for turn, tables in found.items()}


def _rendered_for(
    exchange: Exchange, turn: TurnKey, agents: Mapping[str, Speaker]
) -> Iterator[tuple[Speaker, Content]]:
    """Yield for whom a turn is rendered besides on its speaker's table, and what."""
    speaker = agents[turn.agent].backend.fingerprint
    for heard_by, edge in exchange.planned.hearers(turn):
        hearer = agents[heard_by.agent]
        model = hearer.backend.fingerprint
        wants = edge.wants_vectors and edge.seen != "answers" and hearer.listens and hearer.takes_vectors
        if not wants or not speaker.same_tokenizer(model):
            continue
        if edge.content in RENDERED_CONTENTS:
            yield hearer, edge.content
        elif not speaker.same_table(model):
            yield hearer, "intact"
