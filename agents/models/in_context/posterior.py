"""The belief that no other can beat on average: exact Bayes over the kinds of a family, in float64.

Of one kind y ~ N(0, C), C = Φ V Φᵀ + σ² I over the examples, so that the label asked for is Gaussian given the others, and the
kind's probability is in proportion to weight · N(y; 0, C) (Rasmussen and Williams, 2006, sections 2.1 and 5.4.1). Inputs say
nothing of the function, since they do not depend on it.

B functions, K examples of each, d dimensions, M kinds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.errors import RequestError
from agents.models.in_context.families import Kind


@dataclass(frozen=True)
class Predictive:
    """A belief about a number: a mixture of normal distributions.

    Attributes:
        weights: [..., M], summing to 1.
        means: [..., M].
        variances: [..., M], above 0.
    """

    weights: Tensor
    means: Tensor
    variances: Tensor

    @property
    def mean(self) -> Tensor:
        """Its mean [...]."""
        return (self.weights * self.means).sum(-1)

    @property
    def variance(self) -> Tensor:
        """Its variance [...]: that of the parts and that between them."""
        between = (self.means - self.mean[..., None]).square()
        return (self.weights * (self.variances + between)).sum(-1)

    def log_density(self, y: Tensor) -> Tensor:
        """Return the log-density [...] at y [...], nats."""
        z = (y[..., None] - self.means).square() / self.variances
        return torch.logsumexp(self.weights.log() - 0.5 * (z + (2 * math.pi * self.variances).log()), -1)

    def below(self, border: float) -> Tensor:
        """Return the probability [...] of less than a border."""
        z = (border - self.means) / self.variances.sqrt()
        found: Tensor = (self.weights * torch.special.ndtr(z)).sum(-1)
        return found


def gaussian(mean: Tensor, variance: Tensor) -> Predictive:
    """Return normal distributions of means [...] and variances [...]."""
    return Predictive(torch.ones_like(mean)[..., None], mean[..., None], variance[..., None])


def bayes(kinds: Sequence[Kind], x: Tensor, y: Tensor, asked: Tensor) -> Predictive:
    """Return the exact belief about the label at a point, its noise included.

    Args:
        kinds: of the family, each with noise above 0.
        x: [B, K, d]; K may be 0.
        y: [B, K].
        asked: [B, d].

    Returns:
        One part a kind, its weight the kind's probability given the examples.

    Raises:
        RequestError: a kind without noise.
    """
    if not all(kind.noise > 0 for kind in kinds):
        raise RequestError("the exact belief needs noise above 0 in every kind; without noise take the rule `ols`")
    x, y, asked = x.double(), y.double(), asked.double()
    weights, means, variances = [], [], []
    for kind in kinds:
        phi, at = kind.features(x), kind.features(asked)
        covariance = phi * kind.variance @ phi.transpose(-1, -2)
        covariance = covariance + kind.noise**2 * torch.eye(x.shape[1]).double()
        factor = torch.linalg.cholesky(covariance)
        both = torch.stack([y, (phi * kind.variance @ at[..., None])[..., 0]], -1)
        solved = torch.linalg.solve_triangular(factor, both, upper=False)
        log_determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        log_evidence = -0.5 * solved[..., 0].square().sum(-1) - log_determinant
        weights.append(math.log(kind.weight) + log_evidence)
        means.append((solved[..., 0] * solved[..., 1]).sum(-1))
        prior = (at.square() * kind.variance).sum(-1)
        variances.append(prior - solved[..., 1].square().sum(-1) + kind.noise**2)
    return Predictive(torch.softmax(torch.stack(weights, -1), -1), torch.stack(means, -1), torch.stack(variances, -1))


def families(kinds: Sequence[Kind], belief: Predictive) -> dict[str, Tensor]:
    """Return the probability [...] of each family among the kinds, of a belief that `bayes` gave."""
    found: dict[str, Tensor] = {}
    for place, kind in enumerate(kinds):
        found[kind.family] = found.get(kind.family, torch.zeros_like(belief.mean)) + belief.weights[..., place]
    return found
