"""Hashes learned from a model's own keys: kernel-based supervised hashing (Liu et al., CVPR 2012) as EcoFormer has it
(Liu et al., NeurIPS 2022, arXiv:2209.09004, section 4.1), with labels that the keys give themselves.

A key of length 1 is compared with m anchors by a Gaussian kernel, whose bandwidth is the mean squared distance of its text and
head; less the kernel's mean, times the directions of a bit, its sign is the bit. Of a token the most similar tokens of its text
are to have like codes and the least similar ones unlike codes, S = 1 and −1, and ‖b S − Σ_r y_r y_rᵀ‖ is made small bit by
bit: bit r minimises −yᵀ S_r y with 2 sigmoid − 1 in place of the sign, and S_{r+1} = S_r − y yᵀ.

B texts, H heads, N tokens, d width of a head, m anchors, b bits.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.errors import ConfigError

LEAST = 1e-12
"""Of a bandwidth, which is 0 where every token is every anchor."""


@dataclass(frozen=True)
class Learning:
    """How hashes are learned; the defaults are the published ones.

    Attributes:
        similar: how many tokens are similar and how many dissimilar to a token; half of a text that is too short for it.
        steps, rate, momentum: of a bit, by gradient descent with Nesterov's momentum.
    """

    similar: int = 10
    steps: int = 100
    rate: float = 5e-4
    momentum: float = 0.9


class Hash(nn.Module):
    """The hash of a layer's heads, with random directions and anchors until it is learned or loaded.

    Args:
        heads, width: H and d.
        bits, anchors: b and m.
    """

    anchors: Tensor
    mean: Tensor
    directions: Tensor

    def __init__(self, heads: int, width: int, *, bits: int, anchors: int) -> None:
        super().__init__()
        self.register_buffer("anchors", functional.normalize(torch.randn(heads, anchors, width), dim=-1))
        self.register_buffer("mean", torch.zeros(heads, anchors))
        self.register_buffer("directions", torch.randn(heads, bits, anchors))

    def kernel(self, keys: Tensor, there: Tensor | None = None) -> Tensor:
        """Return exp(−‖k − a‖² / 2σ) [B, H, N, m] of keys [B, H, N, d], their means not taken off.

        Args:
            keys: of any length; they are made 1 long.
            there: [B, N] bool, which tokens the bandwidth is taken from; all by default.
        """
        unit = functional.normalize(keys, dim=-1)
        squares = unit.square().sum(-1, keepdim=True) + self.anchors.square().sum(-1)[:, None]
        distances = (squares - 2 * (unit @ self.anchors.mT)).clamp_min(0)
        if there is None:
            bandwidth = distances.mean((-2, -1), keepdim=True)
        else:
            seen = there[:, None, :, None].to(distances.dtype)
            bandwidth = (distances.mean(-1, keepdim=True) * seen).sum(-2, keepdim=True) / seen.sum(-2, keepdim=True)
        return torch.exp(-distances / (2 * bandwidth.clamp_min(LEAST)))

    def forward(self, keys: Tensor, there: Tensor | None = None) -> Tensor:
        """Return codes of ±1 [B, H, N, b] of keys [B, H, N, d]; see `kernel`.

        Their gradient is that of the number whose sign they are, where it is within −1 and 1, and 0 elsewhere.
        """
        return _signs((self.kernel(keys, there) - self.mean[:, None]) @ self.directions.mT)

    @torch.no_grad()
    def learn(
        self, keys: Tensor, there: Tensor, learning: Learning, generator: torch.Generator, *, bits: bool = True
    ) -> None:
        """Take anchors, mean and directions from keys, without labels of anybody's.

        Args:
            keys: [B, H, N, d].
            there: [B, N] bool, which tokens are no padding.
            learning: how.
            generator: draws the anchors, tokens of any of the texts, and the directions that learning begins with.
            bits: whether directions are learned; without, they stay random.

        Raises:
            ConfigError: fewer tokens than anchors.
        """
        count, texts = self.anchors.shape[1], there.nonzero()
        if len(texts) < count:
            raise ConfigError(f"a hash of {count} anchors is learned from as many tokens at least; got {len(texts)}")
        chosen = texts[torch.randperm(len(texts), generator=generator)[:count]]
        unit = functional.normalize(keys, dim=-1)
        self.anchors.copy_(unit[chosen[:, 0], :, chosen[:, 1]].transpose(0, 1))
        self.directions.copy_(torch.randn(self.directions.shape, generator=generator))
        self.fit(keys, there, learning, bits=bits)

    @torch.no_grad()
    def fit(self, keys: Tensor, there: Tensor, learning: Learning, *, bits: bool = True) -> None:
        """Learn mean and directions, for the anchors and from the directions that are there; see `learn`."""
        seen = there[:, None, :, None].to(keys.dtype)
        features = self.kernel(keys, there)
        # Of each text first, as published, where texts have as many tokens.
        self.mean.copy_(((features * seen).sum(-2) / seen.sum(-2)).mean(0))
        if not bits:
            return
        # 0 where there is no token, so that its bits are 0 while it is learned.
        features = (features - self.mean[:, None]) * seen
        scale = there.sum(-1)[:, None] * self.directions.shape[1]
        left = similarities(keys, there, learning.similar) * self.directions.shape[1]
        for bit in range(self.directions.shape[1]):
            first = self.directions[:, bit].clone()
            then = _descended(features, left, scale, first, learning)
            before, after = (
                torch.where(_projected(features, each) > 0, 1.0, -1.0).to(keys.dtype) * seen[..., 0]
                for each in (first, then)
            )
            better = bool(_loss(after, left, scale) < _loss(before, left, scale))
            if better:
                self.directions[:, bit] = then
            y = after if better else before
            left = left - y[..., :, None] * y[..., None, :]


def similarities(keys: Tensor, there: Tensor, similar: int, *, itself: bool = True) -> Tensor:
    """Return S [B, H, N, N]: 1 for the tokens of its text whose keys are most similar to a token's, −1 for the least similar.

    Args:
        keys: [B, H, N, d].
        there: [B, N] bool; nothing else is similar to anything.
        similar: how many of either kind; half of them where a text has fewer than twice as many.
        itself: whether a token counts among those that are compared with it, as published.
    """
    unit = functional.normalize(keys, dim=-1)
    seen = there[:, None, None, :].expand(*keys.shape[:2], keys.shape[2], -1)
    if not itself:
        seen = seen & ~torch.eye(keys.shape[2], dtype=torch.bool, device=keys.device)
    order = (unit @ unit.mT).masked_fill(~seen, -torch.inf).argsort(-1, descending=True)
    rank = torch.empty_like(order).scatter_(-1, order, torch.arange(order.shape[-1]).expand_as(order))
    count = seen.sum(-1, keepdim=True)
    each = (count // 2).clamp_max(similar)
    found = (rank < each).to(keys.dtype) - ((rank >= count - each) & (rank < count)).to(keys.dtype)
    return found * there[:, None, :, None]


def _projected(features: Tensor, direction: Tensor) -> Tensor:
    return (features @ direction[..., None])[..., 0]


def _loss(y: Tensor, left: Tensor, scale: Tensor) -> Tensor:
    """Return −yᵀ S y over tokens and bits, the mean over texts and heads."""
    return -((left @ y[..., None])[..., 0] * y).sum(-1).div(scale).mean()


def _descended(features: Tensor, left: Tensor, scale: Tensor, first: Tensor, learning: Learning) -> Tensor:
    """Return the directions [H, m] of a bit after gradient descent on the loss of a smooth sign."""
    with torch.enable_grad():
        direction = first.clone().requires_grad_()
        optimiser = torch.optim.SGD([direction], lr=learning.rate, momentum=learning.momentum, nesterov=True)
        for _ in range(learning.steps):
            loss = _loss(2 * torch.sigmoid(_projected(features, direction)) - 1, left, scale)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return direction.detach()


class _Sign(torch.autograd.Function):
    """1 above 0 and −1 elsewhere, with the gradient of the identity between −1 and 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x > 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        found: Tensor = gradient * (x.abs() < 1)
        return found


def _signs(x: Tensor) -> Tensor:
    found: Tensor = _Sign.apply(x)  # type: ignore[no-untyped-call]
    return found
