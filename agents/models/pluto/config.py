"""Sizes of a PLUTO in small. The paper's: 12 blocks of width 384, 6 heads, patches of 8, 16 and 32 pixels."""

from dataclasses import dataclass

from agents.errors import ConfigError
from agents.models.checkpoint import json_fields
from agents.models.pluto.resizing import KINDS
from agents.models.vision.pixels import check_pixels

Colours = tuple[float, float, float]
POOLS = ("additive", "mean")


@dataclass(frozen=True)
class PLUTOConfig:
    """What a model is.

    Attributes:
        labels: cells that it tells apart.
        slide_labels: answers about a whole slide.
        side: of the square tile that it sees, in pixels.
        patches: sides of patches that it cuts a tile into, each a divisor of the side.
        kernel: side of the one kernel that is resized to each of them.
        width, depth, heads, hidden: of the blocks.
        resizing: of the kernel, `pseudo_inverse` (FlexiViT), or `bilinear`, the plain one, as a control.
        pool: of a slide's tiles, `additive` attention, or their `mean`.
        attention: width of that attention.
        window: side, in pixels of a slide, of the square that becomes a tile.
        crop: how much of the shorter side of a picture is seen.
        mean, deviation: of each colour, which is standardised by them.
    """

    labels: tuple[str, ...]
    slide_labels: tuple[str, ...] = ("yes", "no")
    side: int = 48
    patches: tuple[int, ...] = (4, 8, 16)
    kernel: int = 8
    width: int = 64
    depth: int = 3
    heads: int = 4
    hidden: int = 256
    resizing: str = "pseudo_inverse"
    pool: str = "additive"
    attention: int = 32
    window: int = 128
    crop: float = 1.0
    mean: Colours = (0.74, 0.70, 0.71)
    deviation: Colours = (0.1, 0.1, 0.1)

    def __post_init__(self) -> None:
        for name in ("labels", "slide_labels", "patches", "mean", "deviation"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        sizes = (self.kernel, self.width, self.depth, self.heads, self.hidden, self.attention, self.window)
        if len(self.labels) < 2 or len(self.slide_labels) < 2 or min(sizes) < 1:
            raise ConfigError(
                f"there are two labels or more of cells and of slides, and sizes are at least 1; got {self.sizes}"
            )
        if not self.patches or any(patch < 1 or self.side % patch for patch in self.patches):
            raise ConfigError(f"each patch divides the side {self.side}; got {self.patches}")
        if self.side % self.kernel or self.width % self.heads:
            raise ConfigError(
                f"the side is a multiple of the kernel, and the width of heads; got {self.side} and {self.kernel}, "
                f"{self.width} and {self.heads}"
            )
        if self.resizing not in KINDS or self.pool not in POOLS:
            raise ConfigError(
                f"resizing is {' or '.join(KINDS)} and pool {' or '.join(POOLS)}; got {self.resizing!r} and {self.pool!r}"
            )
        if wrong := check_pixels(self):
            raise ConfigError(wrong)

    @property
    def grid(self) -> int:
        """Patches of the kernel's size in a row, for which positions are learned."""
        return self.side // self.kernel

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return json_fields(self)
