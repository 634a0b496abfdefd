"""Which edges are heard as content controls, and which of them cannot be: found before anything is said."""

from collections.abc import Iterator, Mapping

from agents.errors import ConfigError
from agents.speakers.agent import Agent
from agents.speakers.speaker import Speaker
from debate.protocol.exchange import Exchange
from debate.protocol.protocol import Inbox
from debate.topology.edge import Edge
from debate.transcript import TurnKey
from kernels.content import RENDERED_CONTENTS
from kernels.encoders import parse

OF_TEXT = "swapped, silence or echo"


def controlled_edges(exchange: Exchange) -> Iterator[tuple[TurnKey, Inbox, TurnKey, Edge]]:
    """Yield hearing turn, its inbox, heard turn and edge wherever a control is heard."""
    for turn, inbox in exchange.planned.plan.items():
        for heard, edge in zip(inbox.heard, inbox.edges, strict=True):
            if edge.content != "intact":
                yield turn, inbox, heard, edge


def swaps(exchange: Exchange) -> bool:
    """Whether messages about other questions are heard."""
    return any(edge.content == "swapped" for _, _, _, edge in controlled_edges(exchange))


def check_contents(exchange: Exchange, agents: Mapping[str, Speaker]) -> None:
    """Raise ConfigError where a control is asked for on an edge that has nothing to make it of."""
    for turn, inbox, heard, edge in controlled_edges(exchange):
        hearer, speaker = agents[turn.agent], agents[heard.agent]
        if not hearer.listens:
            continue
        why = refusal(edge, exchange.encoders[heard], speaker, hearer, has_spoken=inbox.own is not None)
        if why:
            raise ConfigError(f"content: {edge.content} on {heard.agent} to {turn.agent}: {why}")


def refusal(edge: Edge, encoder: str | None, speaker: Speaker, hearer: Speaker, *, has_spoken: bool) -> str:
    """Return why a control cannot be heard; empty where it can."""
    if edge.seen == "answers":
        return "the edge shows answers only (seen: answers), which are no messages to control; let it show the last message"
    if edge.content == "echo" and not has_spoken:
        return f"{hearer.name} has said nothing yet that it could hear; take silence, or a protocol in which it speaks first"
    if edge.content not in RENDERED_CONTENTS:
        return ""
    if encoder is None or not edge.wants_vectors:
        return f"it is made of beliefs, and a text has none; take {OF_TEXT}, or message: cipher"
    if edge.message == "both":
        return "the message is read beside its vectors (message: both), which would say what the control takes away"
    if not isinstance(speaker, Agent):
        return f"it is made of a language model's beliefs, and {speaker.name} is none; take {OF_TEXT}"
    if not hearer.takes_vectors:
        return f"{hearer.name}'s backend takes no vectors; take {OF_TEXT}"
    if not speaker.backend.fingerprint.same_tokenizer(hearer.backend.fingerprint):
        return f"beliefs pass between two tokenizers token by token, and controls do not; take {OF_TEXT}"
    if parse(encoder).may_exceed:
        return f"the weights of encoder {encoder} are no distribution; take another encoder"
    if edge.content == "tail" and speaker.sampling.temperature == 0:
        return "at temperature 0 a belief is one token, which leaves no tail; raise its temperature"
    return ""
