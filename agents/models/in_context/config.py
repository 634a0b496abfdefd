"""Sizes of the network that learns real functions in context, and what it was trained on."""

from dataclasses import asdict, dataclass
from typing import Literal

from agents.errors import ConfigError
from agents.models.in_context.families import Kind, kinds_of, mixed

Loss = Literal["gaussian", "squared"]


@dataclass(frozen=True)
class LearnerConfig:
    """What a learner is.

    Attributes:
        families: families that it was trained on, each as often as the others.
        dims: d, values of a point.
        points: most points of a function, the one that is asked for included.
        width, layers, heads: of the transformer.
        loss: `gaussian`, the negative log-density of a mean and a variance (Liu et al., 2024), or `squared` of the mean alone.
        noise: standard deviation of the noise, where it was not the families' own.
        loops: how often the second of three layers runs, the first and the third once (Gao et al., 2024); 0 of a plain network.
    """

    families: tuple[str, ...] = ("noisy",)
    dims: int = 4
    points: int = 16
    width: int = 64
    layers: int = 2
    heads: int = 4
    loss: Loss = "gaussian"
    noise: float | None = None
    loops: int = 0

    def __post_init__(self) -> None:
        if min(self.dims, self.points, self.width, self.layers, self.heads) < 1 or self.width % self.heads:
            raise ConfigError(f"sizes must be at least 1, and width divisible by heads; got {self.sizes}")
        if self.loops < 0 or (self.loops and self.layers != 3):
            raise ConfigError(
                f"loops are of the second of three layers; got {self.loops} loops and {self.layers} layers"
            )
        if self.loss not in ("gaussian", "squared"):
            raise ConfigError(f"loss is gaussian or squared; got {self.loss!r}")
        object.__setattr__(self, "families", tuple(self.families))
        if not self.families or len(set(self.families)) < len(self.families):
            raise ConfigError(f"families must be different, and one at least; got {list(self.families)}")
        if "mixture" in self.families:
            raise ConfigError("write the families of the mixture: linear, sparse")

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return {**asdict(self), "families": list(self.families)}

    def kinds(self) -> list[Kind]:
        """Return what its functions are drawn from."""
        if len(self.families) > 1 and self.noise is None:
            return mixed(self.families, self.dims)
        if len(self.families) > 1:
            raise ConfigError("noise can be set for one family only; several have their own")
        return kinds_of(self.families[0], self.dims, noise=self.noise)
