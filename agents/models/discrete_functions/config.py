"""Sizes of the in-context learner."""

from dataclasses import asdict, dataclass

from agents.errors import ConfigError


@dataclass(frozen=True)
class LearnerConfig:
    """What a learner is.

    Attributes:
        dims: n, values of a point.
        points: most points of a function, the one that is asked for included.
        width, layers, heads: of the transformer.
        families: of functions that it was trained on.
    """

    dims: int = 8
    points: int = 16
    width: int = 64
    layers: int = 2
    heads: int = 4
    families: tuple[str, ...] = ("conjunction",)

    def __post_init__(self) -> None:
        if min(self.dims, self.points, self.width, self.layers, self.heads) < 1 or self.width % self.heads:
            raise ConfigError(f"sizes must be at least 1, and width divisible by heads; got {self.sizes}")
        object.__setattr__(self, "families", tuple(self.families))

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return {**asdict(self), "families": list(self.families)}
