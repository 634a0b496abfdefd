"""Messages by blocks: a model that foretells several tokens of one state says them all before it reads what it said.

Of Future Token Prediction (Walker, 2024, arXiv 2410.18160; agents/models/ftp). A CIPHER message made so looks ahead: its first
vector in a block is the expectation of the next token, its second of the one after, and so on, all of them from one state.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from agents.errors import ConfigError

Feed = Literal["argmax", "expected"]


@dataclass(frozen=True)
class FutureBlocks:
    """How many steps are said at once, and what the later ones of them are told of the earlier.

    Attributes:
        n: steps of a block; the last block of a message may be shorter.
        feed: of CIPHER messages, whether a step inside a block is fed the token that the step before it found the likeliest
            (`argmax`), or the vector that it said (`expected`). A text's steps are fed the tokens that it says.

    Raises:
        ConfigError: a value out of range.
    """

    n: int = 4
    feed: Feed = "argmax"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"decoding ftp_blocks: n is a number of steps, at least 1; got {self.n}")
        if self.feed not in get_args(Feed):
            raise ConfigError(f"decoding ftp_blocks: feed is {' or '.join(get_args(Feed))}; got {self.feed!r}")


def refusal(settings: FutureBlocks, horizon: int) -> str:
    """Return why a model that foretells `horizon` tokens of a state, 0 where it has no head for that, cannot say such blocks."""
    if not horizon:
        return (
            "decoding ftp_blocks needs a model with a head for several tokens ahead (model_type: ftp), and this one foretells "
            "the next alone: leave `decoding` out, or take such a model"
        )
    if settings.n > horizon:
        return f"decoding ftp_blocks: this model foretells {horizon} tokens of a state; got n={settings.n}"
    return ""
