"""How many tokens the messages of others take in a prompt at most, before anything is said."""

from debate.config.schema import DebateConfig
from debate.preview.engines import LOCAL
from debate.protocol.exchange import Exchange
from debate.protocol.protocol import Inbox
from debate.transcript import TurnKey

# Backends that are known to take vectors before they have started.
TAKE_VECTORS = ("mock", *LOCAL)


def most_heard(config: DebateConfig, exchange: Exchange, turn: TurnKey, inbox: Inbox) -> int:
    """Return an upper bound for the tokens of others' messages in a turn's prompt.

    A message that is said in text, or heard by a backend that is not known to take vectors, is heard whole, whatever reduces
    CIPHER messages on its edge.

    Args:
        config, exchange: the debate.
        turn: whose prompt it is.
        inbox: what the turn hears.
    """
    agent = config.agents[turn.agent]
    takes = (agent.backend or config.backend) in TAKE_VECTORS
    total = 0
    for heard, edge in zip(inbox.heard, inbox.edges, strict=True):
        is_cipher = exchange.encoders[heard] is not None and not config.agents[heard.agent].is_control
        total += edge.most_heard(config.max_tokens, as_vectors=takes and is_cipher)
    return total
