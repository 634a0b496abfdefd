"""What an encoder costs, counted: parameters, and multiply-adds of one sequence of N tokens, norms and biases left out."""

from dataclasses import dataclass

from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig


@dataclass(frozen=True)
class Cost:
    """Of an encoder, without what stands before and behind it.

    Attributes:
        parameters: numbers of its weights; what is shared counts once.
        attention: multiply-adds of queries, keys, values and output, and of both products of attention.
        feed_forward: multiply-adds of feed-forward layers, of the K experts that serve a token and of the router.
    """

    parameters: int
    attention: int
    feed_forward: int

    @property
    def multiply_adds(self) -> int:
        """All of them."""
        return self.attention + self.feed_forward


def cost_of(config: EncoderConfig, tokens: int) -> Cost:
    """Return what an encoder costs for N tokens.

    Attention: L (4 N d h d_h + 2 N² h d_h), the same wherever L · h is; feed-forward: L N (2 K d d_ff + d E), the router where
    there are several experts.

    Raises:
        ConfigError: an attention other than a softmax.
    """
    if config.attention is not None:
        raise ConfigError(
            f"multiply-adds are a softmax attention's; what {config.attention} costs is counted by agents.attention.operations"
        )
    d, inner, hidden, experts = config.width, config.heads * config.head_width, config.hidden, config.experts
    several = experts > 1
    attention = 4 * tokens * d * inner + 2 * tokens**2 * inner
    feed_forward = tokens * (2 * config.chosen * d * hidden + d * experts * several)
    block = (4 * d * inner + 3 * inner + d) + experts * (2 * d * hidden + hidden + d) + d * experts * several
    blocks, norms = (1 if config.shared else config.layers), (config.layers if config.own_norms else 1)
    return Cost(
        parameters=blocks * block + (4 * norms + 2) * d,
        attention=config.layers * attention,
        feed_forward=config.layers * feed_forward,
    )
