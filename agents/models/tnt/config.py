"""Sizes of a TNT. The defaults are for pictures of 32 x 32; `official.py` has the paper's."""

from dataclasses import dataclass

from agents.errors import ConfigError
from agents.models.checkpoint import json_fields
from agents.models.vision.pixels import check_pixels

Colours = tuple[float, float, float]


@dataclass(frozen=True)
class TNTConfig:
    """What a model is.

    Attributes:
        labels: that it tells apart.
        side: of the square that it sees, in pixels.
        patch: side of a patch, which is a sentence.
        stride: pixels from word to word, in both directions.
        width, depth, heads: of the transformer over sentences.
        inner_width, inner_heads: of the one over the words of a sentence.
        inner: whether words attend to each other; without, each sentence is told its words as they began.
        whole: whether the words are made of the whole picture, so that they see over the edge of their patch, and a sentence is
            told normalised words: timm's `legacy` models. Else patches are cut out first, and what was told is normalised.
        crop: how much of the shorter side of a picture is seen.
        mean, deviation: of each colour, which is standardised by them.
    """

    labels: tuple[str, ...]
    side: int = 32
    patch: int = 8
    stride: int = 2
    width: int = 96
    depth: int = 4
    heads: int = 4
    inner_width: int = 16
    inner_heads: int = 4
    inner: bool = True
    whole: bool = False
    crop: float = 1.0
    mean: Colours = (0.5, 0.5, 0.5)
    deviation: Colours = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        for name in ("labels", "mean", "deviation"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        sizes = (self.patch, self.stride, self.width, self.depth, self.heads, self.inner_width, self.inner_heads)
        if not self.labels or min(sizes) < 1:
            raise ConfigError(f"there are labels, and sizes are at least 1; got {self.sizes}")
        if self.side % self.patch or self.patch % self.stride:
            raise ConfigError(
                f"side is a multiple of patch, and patch of stride; got {self.side}, {self.patch} and {self.stride}"
            )
        if self.width % self.heads or self.inner_width % self.inner_heads:
            raise ConfigError(f"widths are multiples of heads; got {self.sizes}")
        if wrong := check_pixels(self):
            raise ConfigError(wrong)

    @property
    def sentences(self) -> int:
        """Patches of a picture."""
        return (self.side // self.patch) ** 2

    @property
    def row(self) -> int:
        """Words in a row of a patch."""
        return self.patch // self.stride

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return json_fields(self)
