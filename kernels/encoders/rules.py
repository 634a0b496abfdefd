"""The rules, one class each. p is the belief softmax(z / T), E the table, v a token."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kernels import noise
from kernels.belief import restrict
from kernels.encoders.base import Encoder


def _one_hot(ids: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(like).scatter_(1, ids[:, None], 1.0)


def _argmax(scaled: Tensor) -> Tensor:
    """The lowest id of the largest entry, which `scaled` holds as an exact 0."""
    return (scaled == 0).to(torch.uint8).argmax(dim=-1)


def _check(name: str, condition: bool, rule: str, value: object) -> None:
    if not condition:
        raise ValueError(f"encoder {name}: {rule}, got {value!r}")


def sample(scaled: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
    """A token from p a row, [B] int64, by inverting the cumulative distribution at one uniform."""
    keys = noise.row_keys(seeds, steps)[:, None]
    u = noise.uniform(keys, torch.zeros_like(keys), stream=0).double()
    cumulative = scaled.double().exp().cumsum(dim=-1)
    ids = torch.searchsorted(cumulative, u * cumulative[:, -1:], right=True)[:, 0]
    return ids.clamp_max(scaled.shape[1] - 1)


@dataclass(frozen=True)
class Expectation(Encoder):
    """p · E: CIPHER (Pham et al., 2024, arXiv:2310.06272)."""

    name: ClassVar[str] = "expectation"

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        return scaled.softmax(dim=-1)


@dataclass(frozen=True)
class TopK(Encoder):
    """p restricted to its k most probable tokens and renormalised, · E: an option of CIPHER, Soft Thinking's rule."""

    name: ClassVar[str] = "topk"
    k: int = 10

    def __post_init__(self) -> None:
        _check(self.name, self.k >= 1, "k must be at least 1", self.k)

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        return restrict(scaled, self.k, None, None).softmax(dim=-1)


@dataclass(frozen=True)
class TopP(Encoder):
    """p restricted to its nucleus of mass p and renormalised, · E (Holtzman et al., 2020; an option of CIPHER)."""

    name: ClassVar[str] = "topp"
    p: float = 0.95

    def __post_init__(self) -> None:
        _check(self.name, 0 < self.p <= 1, "p must be in (0, 1]", self.p)

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        return restrict(scaled, None, self.p, None).softmax(dim=-1)


@dataclass(frozen=True)
class MinP(Encoder):
    """p restricted to tokens with at least p_min times the largest probability and renormalised, · E."""

    name: ClassVar[str] = "minp"
    p: float = 0.05

    def __post_init__(self) -> None:
        _check(self.name, 0 <= self.p <= 1, "p must be in [0, 1]", self.p)

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        return restrict(scaled, None, None, self.p).softmax(dim=-1)


@dataclass(frozen=True)
class _Partial(Encoder):
    """The expectation in some rows and the argmax token in the others."""

    def mixes(self, plain: Tensor) -> Tensor:
        """Which rows take the expectation, [B] bool, from the belief without temperature."""
        raise NotImplementedError

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        mixes = self.mixes(logits.log_softmax(dim=-1))
        return torch.where(mixes[:, None], scaled.softmax(dim=-1), _one_hot(_argmax(scaled), scaled))


@dataclass(frozen=True)
class PartialMax(_Partial):
    """The expectation where max softmax(z) < threshold, the argmax token elsewhere (CIPHER, Fig. 6)."""

    name: ClassVar[str] = "partial-max"
    threshold: float = 0.85

    def mixes(self, plain: Tensor) -> Tensor:
        return plain.amax(dim=-1).exp() < self.threshold


@dataclass(frozen=True)
class PartialMaxReversed(_Partial):
    """The expectation where max softmax(z) >= threshold, the argmax token elsewhere (CIPHER, Fig. 6, reversed)."""

    name: ClassVar[str] = "partial-max-reversed"
    threshold: float = 0.85

    def mixes(self, plain: Tensor) -> Tensor:
        return plain.amax(dim=-1).exp() >= self.threshold


@dataclass(frozen=True)
class PartialEntropy(_Partial):
    """The expectation where the entropy of softmax(z) exceeds threshold nats, the argmax token elsewhere (CIPHER, Fig. 6)."""

    name: ClassVar[str] = "partial-entropy"
    threshold: float = 0.5

    def mixes(self, plain: Tensor) -> Tensor:
        return -(plain.exp() * plain.nan_to_num(neginf=0.0)).sum(dim=-1) > self.threshold


@dataclass(frozen=True)
class PartialEntropyReversed(_Partial):
    """The expectation where the entropy of softmax(z) is at most threshold nats (CIPHER, Fig. 6, reversed)."""

    name: ClassVar[str] = "partial-entropy-reversed"
    threshold: float = 0.5

    def mixes(self, plain: Tensor) -> Tensor:
        return -(plain.exp() * plain.nan_to_num(neginf=0.0)).sum(dim=-1) <= self.threshold


@dataclass(frozen=True)
class Gumbel(Encoder):
    """softmax((log p + g) / τ) · E with g ~ Gumbel(0, 1) a token (arXiv:2508.03440)."""

    name: ClassVar[str] = "gumbel"
    tau: float = 0.5

    def __post_init__(self) -> None:
        _check(self.name, self.tau > 0, "tau must be positive", self.tau)

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        keys = noise.row_keys(seeds, steps)[:, None]
        g = noise.gumbel(keys, torch.arange(scaled.shape[1], device=scaled.device))
        return ((scaled + g) / self.tau).softmax(dim=-1)


@dataclass(frozen=True)
class Dirichlet(Encoder):
    """q · E with q ~ Dirichlet(γ p) (arXiv:2508.03440; Soft Thinking's code)."""

    name: ClassVar[str] = "dirichlet"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        _check(self.name, self.gamma > 0, "gamma must be positive", self.gamma)

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        keys = noise.row_keys(seeds, steps)[:, None]
        tokens = torch.arange(scaled.shape[1], device=scaled.device)
        return noise.log_gamma_variate(self.gamma * scaled.softmax(dim=-1), keys, tokens).softmax(dim=-1)


@dataclass(frozen=True)
class Mixture(Encoder):
    """H · (p + β onehot(v)) / (1 + β) · E + (1 − H) · E_v: Mixture of Inputs (arXiv:2505.14827, its published code).

    v is sampled from p, and H is the entropy of p over its maximum, the logarithm of the number of unmasked tokens.
    """

    name: ClassVar[str] = "mixture"
    beta: float = 1.0

    def __post_init__(self) -> None:
        _check(self.name, self.beta >= 0, "beta must not be negative", self.beta)

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        log_p = scaled.log_softmax(dim=-1)
        p = log_p.exp()
        entropy = -(p * log_p.nan_to_num(neginf=0.0)).sum(dim=-1, keepdim=True)
        allowed = torch.isfinite(logits).sum(dim=-1, keepdim=True)
        share = (entropy / torch.log(allowed.clamp_min(2).float())).clamp(0, 1)
        onehot = _one_hot(sample(scaled, seeds, steps), scaled)
        return share * (p + self.beta * onehot) / (1 + self.beta) + (1 - share) * onehot


@dataclass(frozen=True)
class Token(Encoder):
    """E_v of the token sampled from p, or of the argmax token: text, as the degenerate encoder."""

    name: ClassVar[str] = "token"
    sample: bool = True

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        ids = sample(scaled, seeds, steps) if self.sample else _argmax(scaled)
        return _one_hot(ids, scaled)
