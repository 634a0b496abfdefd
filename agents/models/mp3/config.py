"""Sizes of a classifier of pictures that is pretrained by telling positions."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig
from agents.models.vision.pixels import check_pixels

Colours = tuple[float, float, float]


@dataclass(frozen=True)
class MP3Config:
    """What a model is. The defaults are for digits of 8 x 8.

    Attributes:
        labels: that it tells apart.
        side: of the square that it sees, in pixels.
        patch: side of a patch; patches do not overlap, since pixels that two share would tell which are neighbours.
        positions: whether patches have learned positions, which pretraining has not.
        encoder: its blocks.
        crop: how much of the shorter side of a picture is seen.
        mean, deviation: of each colour, which is standardised by them.
    """

    labels: tuple[str, ...]
    side: int = 8
    patch: int = 2
    positions: bool = True
    encoder: EncoderConfig = field(default_factory=lambda: EncoderConfig(48, 3, 4, 12, 192))
    crop: float = 1.0
    mean: Colours = (0.3, 0.3, 0.3)
    deviation: Colours = (0.38, 0.38, 0.38)

    def __post_init__(self) -> None:
        for name in ("labels", "mean", "deviation"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if isinstance(self.encoder, Mapping):
            object.__setattr__(self, "encoder", EncoderConfig(**self.encoder))
        if not self.labels or self.patch < 1 or self.side % self.patch:
            raise ConfigError(
                f"there are labels, and the side is a multiple of the patch; got {self.side}, {self.patch} and "
                f"{len(self.labels)} labels"
            )
        if wrong := check_pixels(self):
            raise ConfigError(wrong)

    @property
    def count(self) -> int:
        """How many patches there are."""
        return (self.side // self.patch) ** 2

    @property
    def sizes(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
