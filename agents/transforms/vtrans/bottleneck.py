"""Noisy factors of what can be removed, and what they let through: the variational information bottleneck.

Dutta, Gupta and Agarwal (2024, arXiv:2406.05276), after Dai et al. (ICML 2018): each head, unit or layer is multiplied by
z = mu + sigma eps. With alpha = sigma² / mu², what passes is bounded by ½ log(1 + 1/alpha) nats, and where alpha is above 1
there is more noise than signal. Constants are those of the authors' code (github oshindutta/TVAprune, 9de7aa4). L layers, G
heads and F units a layer.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from agents.transforms.units import Shape

# The code's: how factors begin, how steep the expectation of staying is, and what keeps logarithms and quotients finite.
INITIAL_MU, INITIAL_LOG_VARIANCE, INITIAL_SPREAD = 1.0, -9.0, 0.01
STEEPNESS = 10.0
TINY = 1e-8


class Bottleneck(nn.Module):
    """A noisy factor for each of some things.

    Args:
        size: how many, as a shape.
        generator: of the first values.
    """

    def __init__(self, size: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        mu, log_variance = (torch.randn(size, generator=generator) * INITIAL_SPREAD for _ in range(2))
        self.mu = nn.Parameter(mu + INITIAL_MU)
        self.log_variance = nn.Parameter(log_variance + INITIAL_LOG_VARIANCE)

    def log_alpha(self) -> Tensor:
        """Return log(sigma² / mu²) of each."""
        return self.log_variance - torch.log(self.mu.square() + TINY)

    def expected(self) -> Tensor:
        """Return how sure it is that each stays, from 0 to 1: ½ where there is as much noise as signal."""
        return torch.sigmoid(-STEEPNESS * self.log_alpha())

    def bound(self) -> Tensor:
        """Return the nats that all of them let through at most: the sum of ½ log(1 + mu² / sigma²)."""
        return 0.5 * torch.log1p(self.mu.square() / (self.log_variance.exp() + TINY)).sum()

    def drawn(self, rows: int, positions: int, generator: torch.Generator) -> Tensor:
        """Return factors [L, B, T, n] of B rows of T positions, each token's noise its own; size is [L, n]."""
        layers, count = self.mu.shape
        noise = torch.randn(layers, rows, positions, count, generator=generator)
        return self.mu[:, None, None] + (0.5 * self.log_variance).exp()[:, None, None] * noise


class Factors(NamedTuple):
    """A number for each head and each unit.

    Attributes:
        heads: [L, …, G].
        units: [L, …, F].
    """

    heads: Tensor
    units: Tensor


class Bottlenecks(nn.Module):
    """Factors of a model's heads and units, and of all that attention and the feed-forward part of a layer add.

    A head's factor is its own times that of its layer's attention, and likewise a unit's.

    Args:
        shape: of the model.
        generator: of the first values.
    """

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.heads = Bottleneck((shape.layers, shape.heads), generator)
        self.units = Bottleneck((shape.layers, shape.units), generator)
        self.attention = Bottleneck((shape.layers, 1), generator)
        self.feed_forward = Bottleneck((shape.layers, 1), generator)

    @property
    def each(self) -> tuple[Bottleneck, ...]:
        """Its bottlenecks, one kind after the other."""
        return self.heads, self.units, self.attention, self.feed_forward

    @property
    def count(self) -> int:
        """How many factors there are."""
        return sum(each.mu.numel() for each in self.each)

    def drawn(self, rows: int, positions: int, generator: torch.Generator) -> Factors:
        """Return a draw for every token: [L, B, T, G] and [L, B, T, F]."""
        heads, units, attention, feed_forward = (each.drawn(rows, positions, generator) for each in self.each)
        return Factors(heads * attention, units * feed_forward)

    def means(self) -> Factors:
        """Return the factors without noise, [L, G] and [L, F]: what is folded into the weights."""
        return Factors(self.heads.mu * self.attention.mu, self.units.mu * self.feed_forward.mu)

    def log_alpha(self) -> Factors:
        """Return log alpha of the products: of independent factors 1 + alpha is the product of theirs."""
        return Factors(
            _of_product(self.heads.log_alpha(), self.attention.log_alpha()),
            _of_product(self.units.log_alpha(), self.feed_forward.log_alpha()),
        )

    def expected(self) -> Factors:
        """Return how sure it is that each head and unit stays, and its layer's part with it."""
        return Factors(
            self.heads.expected() * self.attention.expected(), self.units.expected() * self.feed_forward.expected()
        )

    def bound(self) -> Tensor:
        """Return the nats that all factors let through at most."""
        return torch.stack([each.bound() for each in self.each]).sum()


def _of_product(one: Tensor, other: Tensor) -> Tensor:
    return torch.logaddexp(torch.logaddexp(one, other), one + other)
