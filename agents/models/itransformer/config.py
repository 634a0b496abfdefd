"""Sizes of an iTransformer."""

from dataclasses import asdict, dataclass

from agents.errors import ConfigError


@dataclass(frozen=True)
class ITransformerConfig:
    """What a model is; it takes any number of variates.

    Attributes:
        lookback: steps that it sees.
        horizon: steps that it forecasts.
        width, hidden, depth, heads: of the encoder; hidden is the feed-forward's.
        dropout: in training.
        marks: of time, each of them a token beside the variates, as in the published run (4 for hourly series); 0 for none.
    """

    lookback: int = 96
    horizon: int = 96
    width: int = 128
    hidden: int = 128
    depth: int = 2
    heads: int = 8
    dropout: float = 0.1
    marks: int = 0

    def __post_init__(self) -> None:
        if self.marks < 0:
            raise ConfigError(f"marks are at least 0; got {self.marks}")
        if min(self.lookback, self.horizon, self.hidden, self.depth, self.heads) < 1 or self.width % self.heads:
            raise ConfigError(f"sizes are at least 1 and width is a multiple of heads; got {self.sizes}")

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return asdict(self)
