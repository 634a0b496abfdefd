"""Sizes of a CrossViT. The defaults are for pictures of 32 x 32; `official.py` has the paper's."""

from dataclasses import dataclass

from agents.errors import ConfigError
from agents.models.checkpoint import json_fields
from agents.models.vision.pixels import check_pixels

Pair = tuple[int, int]
Colours = tuple[float, float, float]


@dataclass(frozen=True)
class CrossViTConfig:
    """What a model is; pairs are of the branch of small patches and of that of large ones.

    Attributes:
        labels: that it tells apart.
        sides: of the square that each branch sees, in pixels; the first is the picture's, from which the second is made.
        patches: sides of their patches.
        widths: of their tokens.
        depths: blocks of each branch in a stage.
        hidden: sizes of the feed-forward layers.
        stages: how often the branches exchange class tokens.
        heads: of attention, in both branches.
        stem: three convolutions for patches in place of one (the paper's dagger models).
        fused: whether class tokens are exchanged at all; without, scores of two separate transformers are averaged.
        crop: how much of the shorter side of a picture is seen.
        mean, deviation: of each colour, which is standardised by them.
    """

    labels: tuple[str, ...]
    sides: Pair = (32, 32)
    patches: Pair = (4, 8)
    widths: Pair = (48, 96)
    depths: Pair = (1, 2)
    hidden: Pair = (144, 288)
    stages: int = 2
    heads: int = 4
    stem: bool = False
    fused: bool = True
    crop: float = 1.0
    mean: Colours = (0.5, 0.5, 0.5)
    deviation: Colours = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        for name in ("labels", "sides", "patches", "widths", "depths", "hidden", "mean", "deviation"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        pairs = (self.sides, self.patches, self.widths, self.depths, self.hidden)
        if (
            not self.labels
            or any(len(pair) != 2 or min(pair) < 1 for pair in pairs)
            or min(self.stages, self.heads) < 1
        ):
            raise ConfigError(f"there are labels, and sizes are at least 1 and of two branches; got {self.sizes}")
        if any(side % patch for side, patch in zip(self.sides, self.patches, strict=True)):
            raise ConfigError(f"sides are multiples of patches; got {self.sides} and {self.patches}")
        if any(width % self.heads for width in self.widths):
            raise ConfigError(f"widths are multiples of heads; got {self.widths} and {self.heads}")
        if wrong := check_pixels(self):
            raise ConfigError(wrong)

    @property
    def side(self) -> int:
        """Of the square that it takes."""
        return self.sides[0]

    @property
    def counts(self) -> Pair:
        """Patches of each branch."""
        first, second = ((side // patch) ** 2 for side, patch in zip(self.sides, self.patches, strict=True))
        return first, second

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return json_fields(self)
