"""Neurons that leak, integrate and fire, after a batch norm: what stands in place of ReLU in the spiking LMUFormer.

v + (x − v) / tau, a spike where that is at the threshold or above, and then back to 0; tau is 2. Learned through with the
slope of a sigmoid in place of the step's, sigmoid'(4 (v − threshold)), and with the reset taken for fixed: the defaults of
spikingjelly's MultiStepLIFNode, which github zeyuliu1037/LMUFormer takes, with detach_reset.

B batch, C channels, T steps.
"""

from typing import Any

import torch
from torch import Tensor, nn

TAU = 2.0
SLOPE = 4.0


class _Spikes(torch.autograd.Function):
    """The whole sequence at once: step by step forward, and back by hand, for a tape of every step is many times as slow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        potential, charged, fired = start, [], []
        for now in x.unbind(-1):
            potential = potential + (now - potential) / TAU
            spike = (potential >= threshold).to(x.dtype)
            charged.append(potential)
            fired.append(spike)
            potential = potential * (1 - spike)
        spikes = torch.stack(fired, -1)
        ctx.save_for_backward(torch.stack(charged, -1), spikes)
        ctx.threshold = threshold
        ctx.mark_non_differentiable(potential)
        return spikes, potential

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        charged, spikes = ctx.saved_tensors
        risen = torch.sigmoid(SLOPE * (charged - ctx.threshold))
        slopes, kept = (grads[0] * SLOPE * risen * (1 - risen)).unbind(-1), (1 - spikes).unbind(-1)
        after, found = torch.zeros_like(slopes[0]), []
        for slope, stays in zip(reversed(slopes), reversed(kept), strict=True):
            charge = slope + after * stays
            found.append(charge / TAU)
            after = charge * (1 - 1 / TAU)
        return torch.stack(found[::-1], -1), None, None


def spikes(x: Tensor, *, threshold: float = 1.0, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return spikes [B, C, T], each 0 or 1, of an input [B, C, T], and the potentials [B, C] that are left.

    Args:
        x: what goes in.
        threshold: at which they fire.
        start: potentials [B, C] before the first step; 0 by default. Nothing is learned through them.
    """
    before = x.new_zeros(x.shape[:2]) if start is None else start
    found: tuple[Tensor, Tensor] = _Spikes.apply(x, before, threshold)  # type: ignore[no-untyped-call]
    return found


class Firing(nn.Module):
    """Batch norm, then neurons."""

    def __init__(self, channels: int, *, threshold: float = 1.0) -> None:
        super().__init__()
        self.norm, self.threshold = nn.BatchNorm1d(channels), threshold

    def forward(self, x: Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what `spikes` does."""
        return spikes(self.norm(x), threshold=self.threshold, start=start)
