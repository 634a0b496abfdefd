"""Sizes of an iTransformer."""

from dataclasses import asdict, dataclass

from agents.errors import ConfigError


@dataclass(frozen=True)
class ITransformerConfig:
    """What a model is; it takes any number of variates.

    Fields:
        lookback: steps that it sees.
        horizon: steps that it forecasts.
        width, hidden, depth, heads: of the encoder; hidden is the feed-forward's.
        dropout: in training.
    """

    lookback: int = 96
    horizon: int = 96
    width: int = 128
    hidden: int = 128
    depth: int = 2
    heads: int = 8
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if min(self.lookback, self.horizon, self.hidden, self.depth, self.heads) < 1 or self.width % self.heads:
            raise ConfigError(f"sizes are at least 1 and width is a multiple of heads; got {self.sizes}")

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return asdict(self)
