"""Sizes of a segmenter. The defaults are the student's of the recipe; a published SegFormer-B0 has widths 32, 64, 160, 256."""

from dataclasses import dataclass

from agents.errors import ConfigError
from agents.models.checkpoint import MOST_BLOCKS, json_fields

Four = tuple[int, int, int, int]
Colours = tuple[float, float, float]
LONGEST = 2048
"""Side of a picture that is seen, in pixels: the published crops of Cityscapes are shorter."""


@dataclass(frozen=True)
class SegmenterConfig:
    """What a SegFormer is (Xie et al., 2021, arXiv:2105.15203); four numbers are of its four stages.

    Attributes:
        labels: classes of a pixel.
        height, width: of the picture that it sees, in pixels; a picture is scaled to them as a whole.
        widths: of tokens.
        depths: blocks.
        heads: of attention.
        reductions: by how much the sides are smaller of what is attended to.
        decoder: width in which the stages are put together.
        mean, deviation: of each colour, which is standardised by them.
    """

    labels: tuple[str, ...]
    height: int = 48
    width: int = 64
    widths: Four = (8, 16, 40, 64)
    depths: Four = (1, 1, 1, 1)
    heads: Four = (1, 2, 5, 8)
    reductions: Four = (4, 2, 1, 1)
    decoder: int = 32
    mean: Colours = (0.5, 0.5, 0.5)
    deviation: Colours = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        for name in ("labels", "widths", "depths", "heads", "reductions", "mean", "deviation"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        stages = (self.widths, self.depths, self.heads, self.reductions)
        if (
            not self.labels
            or any(len(each) != 4 or min(each) < 1 for each in stages)
            or min(self.height, self.width, self.decoder) < 1
        ):
            raise ConfigError(f"there are labels, and sizes are at least 1 and of four stages; got {self.sizes}")
        if max(self.depths) > MOST_BLOCKS or max(self.size) > LONGEST:
            raise ConfigError(
                f"a stage has at most {MOST_BLOCKS} blocks and a picture {LONGEST} pixels a side; got {self.depths}, "
                f"{self.height} and {self.width}"
            )
        if any(width % heads for width, heads in zip(self.widths, self.heads, strict=True)):
            raise ConfigError(f"widths are multiples of heads; got {self.widths} and {self.heads}")
        for side in self.size:
            for stage, reduction in enumerate(self.reductions):
                # Patches overlap, so that what does not divide is rounded up.
                count = -(-side // (4 << stage))
                if count % reduction:
                    raise ConfigError(
                        f"stage {stage + 1} has {count} positions of {side} pixels, which reductions[{stage}], {reduction}, does "
                        "not divide"
                    )
        if len(self.mean) != 3 or len(self.deviation) != 3 or min(self.deviation) <= 0:
            raise ConfigError(
                f"mean and deviation have three numbers, the latter above 0; got {self.mean} and {self.deviation}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture that it sees."""
        return self.height, self.width

    @property
    def coarse(self) -> tuple[int, int]:
        """Height and width of its scores: a quarter, rounded up."""
        return -(-self.height // 4), -(-self.width // 4)

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return json_fields(self)
