"""Sizes of the network that learns real functions in context, and what it was trained on."""

from dataclasses import asdict, dataclass

from agents.errors import ConfigError
from agents.models.in_context.families import MIXTURES, Kind, mixed


@dataclass(frozen=True)
class LearnerConfig:
    """What a learner is.

    Attributes:
        families: families that it was trained on, each as often as the others.
        dims: d, values of a point.
        points: most points of a function, the one that is asked for included.
        width, layers, heads: of the transformer.
        noise: standard deviation of the noise in training, where it was not the families' own.
    """

    families: tuple[str, ...] = ("noisy",)
    dims: int = 4
    points: int = 16
    width: int = 64
    layers: int = 2
    heads: int = 4
    noise: float | None = None

    def __post_init__(self) -> None:
        if min(self.dims, self.points, self.width, self.layers, self.heads) < 1 or self.width % self.heads:
            raise ConfigError(f"sizes must be at least 1, and width divisible by heads; got {self.sizes}")
        object.__setattr__(self, "families", tuple(self.families))
        if not self.families or len(set(self.families)) < len(self.families):
            raise ConfigError(f"families must be different, and one at least; got {list(self.families)}")
        if found := [name for name in self.families if name in MIXTURES]:
            raise ConfigError(f"write the families of the mixture: {', '.join(MIXTURES[found[0]])}")

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return {**asdict(self), "families": list(self.families)}

    def kinds(self) -> list[Kind]:
        """Return what its functions are drawn from."""
        return mixed(self.families, self.dims, noise=self.noise)
