"""Training of the bottlenecks, and of nothing else: the masked model is to say and to compute what the base does, at a cost.

The loss of a step is the divergence of the masked model's beliefs from the base's, the relative squared error of its hidden
states, beta times the bound of what a factor lets through (the mean over all), and a Lagrangian on the expected
multiply-accumulates whose target falls from the whole model to the budget. Its two multipliers ascend. No labels are read.
When it is decided what stays, the factors of that are trained further by the first two terms alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.transforms.calibration import Rows, in_batches
from agents.transforms.removal import Masks
from agents.transforms.subject import Subject
from agents.transforms.units import Shape, masked
from agents.transforms.vtrans.bottleneck import Bottlenecks, Factors

# The authors' code's: steps of the multipliers, and temperature of the beliefs.
MULTIPLIER_RATE = 0.1
TEMPERATURE = 2.0
# Ours. From its first value log sigma² has 9 to go until there is as much noise as signal, and mu has 1 to fall; the authors
# take some thousand steps at one rate for both.
MU_RATE = 0.1


@dataclass(frozen=True)
class Schedule:
    """How bottlenecks are trained.

    Attributes:
        macs: share of the blocks' multiply-accumulates that is to stay.
        steps: of the optimiser.
        warmup: share of the steps in which the target falls from 1 to `macs`.
        batch: rows of a step.
        rate: of Adam on log sigma², and `MU_RATE` times it on mu; it falls to 0 linearly.
        beta: weight of the bound, whose mean over all factors is taken, so that it means the same in models of other sizes.
        hidden: weight of the hidden states.
        tuning: further steps, of what stays, without noise.
        seed: of first values, noise and the order of rows.
    """

    macs: float
    steps: int
    warmup: float
    batch: int
    rate: float
    beta: float
    hidden: float
    tuning: int
    seed: int

    def target(self, step: int) -> float:
        """Return the share that is asked for at a step, counted from 0."""
        falling = self.warmup * self.steps
        return 1.0 + (self.macs - 1.0) * (min(1.0, step / falling) if falling else 1.0)


class Lagrangian(nn.Module):
    """A price of the distance between expected and asked multiply-accumulates: λ₁ d + λ₂ d², with both λ ascending from 0."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.zeros(()))
        self.quadratic = nn.Parameter(torch.zeros(()))

    def forward(self, share: Tensor, target: float) -> Tensor:
        """Return the price of a share."""
        distance = share - target
        price: Tensor = self.linear * distance + self.quadratic * distance.square()
        return price


def expected_share(expected: Factors, shape: Shape, positions: int) -> Tensor:
    """Return the expected share of the blocks' multiply-accumulates."""
    heads = expected.heads.sum() * shape.head_macs(positions)
    return (heads + expected.units.sum() * shape.unit_macs(positions)) / shape.macs(positions)


def train(
    subject: Subject,
    shape: Shape,
    rows: Rows,
    positions: int,
    schedule: Schedule,
    *,
    watch: Callable[[int, dict[str, float]], None] = lambda *_: None,
) -> Bottlenecks:
    """Return bottlenecks of a model, trained; its weights stay as they are.

    Args:
        subject: the model.
        shape: its sizes.
        rows: the texts.
        positions: over which multiply-accumulates are counted.
        schedule: how.
        watch: called with the number of each step and its figures.
    """
    generator = torch.Generator().manual_seed(schedule.seed)
    with torch.enable_grad():
        bottlenecks, lagrangian = Bottlenecks(shape, generator), Lagrangian()
        down = torch.optim.Adam(
            [
                {"params": [each.mu for each in bottlenecks.each], "lr": schedule.rate * MU_RATE},
                {"params": [each.log_variance for each in bottlenecks.each], "lr": schedule.rate},
            ]
        )
        up = torch.optim.Adam(lagrangian.parameters(), lr=MULTIPLIER_RATE, maximize=True)
        falling = torch.optim.lr_scheduler.LambdaLR(down, lambda step: 1 - step / schedule.steps)
        batches = in_batches(rows, schedule.batch, generator)
        for step in range(schedule.steps):
            batch = next(batches)
            num_rows, num_positions = batch.ids.shape
            factors = bottlenecks.drawn(num_rows, num_positions, generator)
            beliefs, states = _distance(subject, batch, factors)
            share = expected_share(bottlenecks.expected(), shape, positions)
            bound = bottlenecks.bound()
            price = lagrangian(share, schedule.target(step))
            loss = beliefs + schedule.hidden * states + schedule.beta * bound / bottlenecks.count + price
            for optimizer in (down, up):
                optimizer.zero_grad()
            loss.backward()
            for optimizer in (down, up):
                optimizer.step()
            falling.step()
            figures = {"beliefs": beliefs, "states": states, "bound": bound, "share": share, "price": price}
            watch(step, {name: float(value.detach()) for name, value in figures.items()})
    return bottlenecks.requires_grad_(False)


def tune(subject: Subject, rows: Rows, means: Factors, kept: Masks, schedule: Schedule) -> Factors:
    """Return factors [L, G] and [L, F] of what stays, trained further: without noise, without a price, the rest at 0.

    The paper tunes the weights of what stays; here these factors are all that is trained.
    """
    generator = torch.Generator().manual_seed(schedule.seed)
    heads, units = (nn.Parameter(each.clone()) for each in means)
    with torch.enable_grad():
        down = torch.optim.Adam([heads, units], lr=schedule.rate * MU_RATE)
        batches = in_batches(rows, schedule.batch, generator)
        for step in range(schedule.tuning):
            down.param_groups[0]["lr"] = schedule.rate * MU_RATE * (1 - step / schedule.tuning)
            beliefs, states = _distance(subject, next(batches), Factors(heads * kept.heads, units * kept.units))
            down.zero_grad()
            (beliefs + schedule.hidden * states).backward()  # type: ignore[no-untyped-call]
            down.step()
    return Factors(heads.detach() * kept.heads, units.detach() * kept.units)


def _distance(subject: Subject, batch: Rows, factors: Factors) -> tuple[Tensor, Tensor]:
    """Return how far the masked model is from the base: T² KL of beliefs a token, and the layers' mean relative squared error."""
    with torch.no_grad():
        whole = _passed(subject.model, batch)
    with masked(subject, factors.heads, factors.units):
        other = _passed(subject.model, batch)
    one, two = (functional.log_softmax(each[0] / TEMPERATURE, -1) for each in (whole, other))
    beliefs = functional.kl_div(two, one, reduction="batchmean", log_target=True) * TEMPERATURE**2
    errors = [(b - a).square().sum() / a.square().sum() for a, b in zip(whole[1], other[1], strict=True)]
    return beliefs, torch.stack(errors).mean()


def _passed(model: Any, batch: Rows) -> tuple[Tensor, list[Tensor]]:
    """Return logits [N, V] and what leaves each layer [N, D], the last through the norm, of the N tokens that are text."""
    found = model(batch.ids, use_cache=False, output_hidden_states=True)
    return found.logits[batch.is_text], [states[batch.is_text] for states in found.hidden_states[1:]]
