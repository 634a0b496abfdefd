"""How many tokens the messages of others take in a prompt at most, before anything is said."""

import hashlib
from functools import cache

from agents.errors import DebateError
from agents.pretrained import base_of
from debate.config.schema import DebateConfig
from debate.preview.engines import LOCAL, model_folder
from debate.protocol.exchange import Exchange
from debate.protocol.protocol import Inbox
from debate.transcript import TurnKey

# Backends that are known to take vectors before they have started.
TAKE_VECTORS = ("mock", *LOCAL)


def most_heard(config: DebateConfig, exchange: Exchange, turn: TurnKey, inbox: Inbox) -> int:
    """Return an upper bound for the tokens of others' messages in a turn's prompt, as who said them counts.

    A message that is said in text, or heard by a backend that is not known to take vectors, is heard whole, whatever reduces
    CIPHER messages on its edge; and so is one between two tokenizers, of which too little may map. The hearer's tokenizer may
    make more tokens of it.

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
        as_vectors = takes and is_cipher and _share_a_tokenizer(config, heard.agent, turn.agent)
        total += edge.most_heard(config.max_tokens, as_vectors=as_vectors)
    return total


def _share_a_tokenizer(config: DebateConfig, one: str, other: str) -> bool:
    """Whether two agents are known to have one tokenizer: no text is heard between them for want of what maps."""
    mocks = [(config.agents[name].backend or config.backend) == "mock" for name in (one, other)]
    if any(mocks):
        return all(mocks)
    models = [base_of(config.model_of(name)) for name in (one, other)]
    if models[0] == models[1]:
        return True
    vocabularies = [_vocabulary(model) for model in models]
    return vocabularies[0] is not None and vocabularies[0] == vocabularies[1]


@cache
def _vocabulary(model: str) -> str | None:
    """Return a hash of the tokenizer's file of a model that lies here; None where it is not known."""
    try:
        folder = model_folder(model)
        return None if folder is None else hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    except (OSError, ValueError, DebateError):
        return None
