"""One step of training, as the recipes of models of sentences take it."""

import torch
from torch import Tensor, nn


def train_step(
    optimiser: torch.optim.Optimizer, loss: Tensor, model: nn.Module, rate: float, step: int, steps: int
) -> None:
    """Learn from a loss; the rate goes up over the first twentieth of the steps, down to a tenth over the last half."""
    share = min(1.0, (step + 1) / (0.05 * steps), max(0.1, 2 * (1 - step / steps)))
    optimiser.param_groups[0]["lr"] = rate * share
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
