"""Families of functions of real numbers, as data: weighted kinds of Bayesian linear models, and examples drawn from them.

A function is f(x) = w · a(U x), w ~ N(0, diag(v)), x ~ N(0, I), y = f(x) + σ ε, or the same of what fixed layers make of x. Kinds
differ in these, in U, a, v and σ; a family is a distribution over kinds. Because every kind is linear in w, the exact belief is
a sum over kinds of Gaussians (`posterior.py`). All kinds have E f(x)² = 1, so that no family is told by its scale (Yadlowsky et
al., 2023, arXiv:2311.00871, have one scale too).

B functions, K points of each, d dimensions, F features, M kinds.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from agents.errors import ConfigError, UnknownName

NOISE = 0.25
"""Standard deviation of the noise, where a family has only one."""
LEVELS = tuple(round(0.1 * step, 1) for step in range(1, 11))
"""Standard deviations that a function of `noisy` has, each as probable as the others (Liu et al., 2024, arXiv:2405.15115)."""
NETWORKS, HIDDEN, NETWORK_SEED = 8, 6, 0
"""Hidden layers that a function of `relu` has one of, their width, and the seed that they are drawn with."""
SLOPE, SCALED_ON = 0.1, 200_000
"""Slope below 0 of the network that makes the features of `representation`, and how many points these are scaled on."""


@dataclass(frozen=True)
class Kind:
    """One Bayesian linear model.

    Attributes:
        family: family that it is of.
        weight: probability of the kind.
        layer: U [F, d] float64.
        is_rectified: whether a is max(0, ·); else the identity.
        variance: v [F] float64, prior variances of the weights; 0 where a weight is not used.
        noise: σ.
        before: layers [·, ·] float64 that x passes before U.
        slope: of their rectifiers, and a's, below 0.
    """

    family: str
    weight: float
    layer: Tensor
    is_rectified: bool
    variance: Tensor
    noise: float
    before: tuple[Tensor, ...] = ()
    slope: float = 0.0

    def features(self, x: Tensor) -> Tensor:
        """Return a(U x) [..., F] of x [..., d], in x's dtype, of x as the layers before U leave it."""
        for layer in self.before:
            x = leaky_relu(x @ layer.to(x.dtype).T, self.slope)
        found = x @ self.layer.to(x.dtype).T
        return leaky_relu(found, self.slope) if self.is_rectified else found

    @property
    def dims(self) -> int:
        """Values of a point, d."""
        return (*self.before, self.layer)[0].shape[1]


@dataclass(frozen=True)
class Points:
    """Examples of functions.

    Attributes:
        x: [B, K, d] float64.
        y: [B, K] float64, with noise.
        value: [B, K] float64, f(x).
        kind: [B] int64, which kind each function is.
    """

    x: Tensor
    y: Tensor
    value: Tensor
    kind: Tensor


def linear(dims: int) -> list[Kind]:
    """All weights are used: w ~ N(0, I / d)."""
    return [
        Kind("linear", 1.0, torch.eye(dims).double(), False, torch.full((dims,), 1 / dims, dtype=torch.float64), NOISE)
    ]


def sparse(dims: int, *, used: int = 1, family: str = "sparse") -> list[Kind]:
    """So many of the weights are used, all choices equally probable.

    Raises:
        ConfigError: fewer dimensions than weights that are used.
    """
    if not 1 <= used <= dims:
        raise ConfigError(f"a function that uses {used} of its weights has at least as many dimensions; got {dims}")
    chosen = list(itertools.combinations(range(dims), used))
    kinds = []
    for places in chosen:
        variance = torch.zeros(dims).double()
        variance[list(places)] = 1 / used
        kinds.append(Kind(family, 1 / len(chosen), torch.eye(dims).double(), False, variance, NOISE))
    return kinds


def pair(dims: int) -> list[Kind]:
    """Two of the weights are used (Yadlowsky et al., 2023, have dense and sparse linear functions of one scale)."""
    return sparse(dims, used=2, family="pair")


def between(dims: int, share: float) -> list[Kind]:
    """(1 − a) f + a g of a linear function f and one of `pair` g, over its deviation; a is the share.

    Raises:
        ConfigError: a share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"share must lie from 0 to 1; got {share}")
    (dense,) = linear(dims)
    scale = (1 - share) ** 2 + share**2
    return [
        replace(kind, family="between", variance=((1 - share) ** 2 * dense.variance + share**2 * kind.variance) / scale)
        for kind in pair(dims)
    ]


def relu(dims: int) -> list[Kind]:
    """Networks of one hidden layer, which is one of eight that never change; the weights of the last layer are random."""
    generator = torch.Generator().manual_seed(NETWORK_SEED)
    layers = torch.nn.functional.normalize(
        torch.randn(NETWORKS, HIDDEN, dims, generator=generator, dtype=torch.float64), dim=-1
    )
    # E max(0, z)² = 1/2 for z ~ N(0, 1).
    variance = torch.full((HIDDEN,), 2 / HIDDEN).double()
    return [Kind("relu", 1 / NETWORKS, layer, True, variance, NOISE) for layer in layers]


@functools.cache
def _representation(dims: int) -> Kind:
    generator = torch.Generator().manual_seed(NETWORK_SEED)
    first, second = (
        torch.nn.functional.normalize(torch.randn(HIDDEN, width, generator=generator, dtype=torch.float64), dim=-1)
        for width in (dims, HIDDEN)
    )
    kind = Kind("representation", 1.0, second, True, torch.ones(HIDDEN).double(), NOISE, (first,), SLOPE)
    phi = kind.features(torch.randn(SCALED_ON, dims, generator=generator, dtype=torch.float64))
    return replace(kind, variance=kind.variance / phi.square().sum(-1).mean())


def representation(dims: int) -> list[Kind]:
    """Random weights of the features that one network of two leaky layers makes; it never changes (Gao et al., 2024)."""
    return [_representation(dims)]


def noisy(dims: int) -> list[Kind]:
    """Linear functions, each with a noise of its own."""
    (kind,) = linear(dims)
    return [replace(kind, family="noisy", weight=1 / len(LEVELS), noise=level) for level in LEVELS]


def mixed(families: Sequence[str], dims: int, *, noise: float | None = None) -> list[Kind]:
    """Return the kinds of several families, each family as probable as the others; noise as of `kinds_of`."""
    return [
        replace(kind, weight=kind.weight / len(families))
        for name in families
        for kind in kinds_of(name, dims, noise=noise)
    ]


MIXTURES = {"mixture": ("linear", "sparse"), "linear_or_pair": ("linear", "pair")}
"""Families that are one of two others, each half of the time."""
FAMILIES: dict[str, Callable[[int], list[Kind]]] = {
    "linear": linear,
    "sparse": sparse,
    "relu": relu,
    "representation": representation,
    "noisy": noisy,
    "pair": pair,
    **{name: partial(mixed, parts) for name, parts in MIXTURES.items()},
}
"""Families by name: the kinds of each in so many dimensions."""


def kinds_of(family: str, dims: int, *, noise: float | None = None) -> list[Kind]:
    """Return the kinds of a family.

    Args:
        family: a name of `FAMILIES`.
        dims: d.
        noise: σ of all kinds, where it is not the family's own.

    Raises:
        UnknownName: no such family.
        ConfigError: less than one dimension, or a noise that is negative or not finite.
    """
    if family not in FAMILIES:
        raise UnknownName("family of functions", family, FAMILIES)
    if dims < 1:
        raise ConfigError(f"dims must be at least 1; got {dims}")
    if noise is None:
        return FAMILIES[family](dims)
    if not 0 <= noise < math.inf:
        raise ConfigError(f"noise must be finite and at least 0; got {noise}")
    made = [replace(kind, noise=noise) for kind in FAMILIES[family](dims)]
    # Kinds that differed in their noise alone are one and the same now.
    return [replace(made[0], weight=1.0)] if family == "noisy" else made


def draw(
    kinds: Sequence[Kind], functions: int, points: int, generator: torch.Generator, *, spread: float = 1.0
) -> Points:
    """Return random functions with random examples.

    Args:
        kinds: what they are drawn from.
        functions: B.
        points: K.
        generator: of all that is random.
        spread: standard deviation of the inputs; other than 1 only to ask about inputs that nobody was trained on.

    Raises:
        ConfigError: fewer than one function or point.
    """
    if min(functions, points) < 1:
        raise ConfigError(f"functions and points must be at least 1; got {functions}, {points}")
    dims, features = kinds[0].dims, max(len(kind.variance) for kind in kinds)
    variance = torch.zeros(len(kinds), features).double()
    for place, kind in enumerate(kinds):
        variance[place, : len(kind.variance)] = kind.variance
    noise = torch.tensor([kind.noise for kind in kinds]).double()
    weights = torch.tensor([kind.weight for kind in kinds]).double()

    which = torch.multinomial(weights, functions, replacement=True, generator=generator)
    x = spread * torch.randn(functions, points, dims, generator=generator, dtype=torch.float64)
    found = torch.zeros(functions, points, features).double()
    for place in torch.unique(which).tolist():
        mine = which == place
        found[mine, :, : len(kinds[place].variance)] = kinds[place].features(x[mine])
    w = torch.randn(functions, features, generator=generator, dtype=torch.float64) * variance[which].sqrt()
    value = (found * w[:, None]).sum(-1)
    eps = torch.randn(functions, points, generator=generator, dtype=torch.float64)
    return Points(x, value + noise[which, None] * eps, value, which)
