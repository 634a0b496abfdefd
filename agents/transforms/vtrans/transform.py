"""`vtrans`: heads, feed-forward units and layers removed that carry little through learned noise, within a budget.

Dutta, Gupta and Agarwal (2024, arXiv:2406.05276), the variant that trains masks alone (Faster-VTrans): the weights are frozen, no
label is read, and what the masks were when they are hardened stays in the weights as a factor. Hidden dimensions, which the
paper removes too, all stay: their number is the width of the embedding table, which is the messages'.
"""

import math

import torch

from agents.errors import ConfigError, ModelError
from agents.transforms.calibration import OWN, calibration_rows, check_seed
from agents.transforms.removal import Masks, filled_remarks, kept_remark, removed
from agents.transforms.subject import Outcome, Subject
from agents.transforms.units import scale, shape_of
from agents.transforms.vtrans.bottleneck import Factors
from agents.transforms.vtrans.training import Schedule, train, tune

MOST_STEPS = 100_000


def vtrans(
    subject: Subject,
    *,
    macs: float = 0.6,
    steps: int = 150,
    warmup: float = 0.5,
    batch: int = 4,
    rate: float = 0.3,
    beta: float = 1.0,
    hidden: float = 1.0,
    tuning: int = 50,
    rows: int = 64,
    length: int = 128,
    calibration: str = OWN,
    seed: int = 0,
) -> Outcome:
    """Remove the heads and units whose learned noise is largest; only these masks are trained.

    Args:
        subject: the model; its tables stay as they are.
        macs: share of the blocks' multiply-accumulates that stays, over rows of the calibration's mean length; 1 changes nothing.
        steps: of the training of the masks.
        warmup: share of the steps in which the expected multiply-accumulates fall to the budget.
        batch: rows of a step.
        rate: of Adam on the logarithm of the noise, and a tenth of it on its mean; it falls to 0.
        beta: weight of the nats that a mask lets through, the mean over all.
        hidden: weight of the hidden states' relative squared error beside the beliefs' divergence.
        tuning: further steps, in which the factors of what stays are trained without noise.
        rows, length, calibration, seed: texts to look at (calibration.py); the seed also draws the noise.

    Raises:
        ConfigError: a parameter out of range, or a budget too small for anything.
        ModelError: a family whose blocks are not known, or a training that came to no numbers.
    """
    schedule = Schedule(macs, steps, warmup, batch, rate, beta, hidden, tuning, seed)
    _check(schedule)
    shape = shape_of(subject, "vtrans")
    if macs == 1:
        return Outcome({"macs_kept": 1.0}, ("The budget is the whole model, so nothing was removed.",))
    texts = calibration_rows(subject, calibration, rows=rows, length=length, seed=seed)
    positions = max(1, round(int(texts.is_text.sum()) / len(texts.ids)))
    head_macs, unit_macs, whole = shape.head_macs(positions), shape.unit_macs(positions), shape.macs(positions)
    budget = math.floor(macs * whole)
    if budget < min(head_macs, unit_macs):
        raise ConfigError(
            f"vtrans: a budget of {macs:g} of {subject.name} holds not one head or unit; raise macs to at least "
            f"{min(head_macs, unit_macs) / whole:.2g}"
        )
    bottlenecks = train(subject, shape, texts, positions, schedule)
    noise = bottlenecks.log_alpha()
    _refuse_not_finite(noise, subject.name, steps)
    masks = harden(noise, head_macs=head_macs, unit_macs=unit_macs, budget=budget)
    factors = tune(subject, texts, bottlenecks.means(), masks, schedule)
    _refuse_not_finite(factors, subject.name, steps + tuning)
    scale(subject, *factors)
    facts = removed(subject, shape, masks, positions)
    signal = int((noise.heads < 0).sum()) * head_macs + int((noise.units < 0).sum()) * unit_macs
    facts |= {"trained_masks": bottlenecks.count, "macs_of_signal": signal / whole}
    return Outcome(
        facts,
        (
            kept_remark(
                facts, f"the rest was removed after {steps} steps in which masks were trained, and no weight was."
            ),
            "What a head or unit was multiplied by in the end is in the weights. Without a budget those with more signal than "
            f"noise, at {facts['macs_of_signal']:.1%}, would have stayed.",
            *filled_remarks(subject, facts),
        ),
    )


def harden(log_alpha: Factors, *, head_macs: int, unit_macs: int, budget: int) -> Masks:
    """Return what stays: heads and units in the order of their noise, the least first, each that the budget still holds.

    Args:
        log_alpha: [L, G] and [L, F].
        head_macs, unit_macs: of one.
        budget: of all that stay.
    """
    heads, units = (torch.zeros(each.shape, dtype=torch.bool) for each in log_alpha)
    values = torch.cat([each.flatten() for each in log_alpha])
    for place in values.argsort(stable=True).tolist():
        is_head = place < heads.numel()
        cost = head_macs if is_head else unit_macs
        if cost <= budget:
            budget -= cost
            (heads if is_head else units).view(-1)[place if is_head else place - heads.numel()] = True
    return Masks(heads, units)


def _refuse_not_finite(factors: Factors, name: str, steps: int) -> None:
    if not all(each.isfinite().all() for each in factors):
        raise ModelError(f"vtrans: the masks of {name} are no finite numbers after {steps} steps; lower rate")


def _check(schedule: Schedule) -> None:
    if not 0 < schedule.macs <= 1:
        raise ConfigError(f"vtrans: macs is the share that stays, above 0 and at most 1; got {schedule.macs:g}")
    if not 1 <= schedule.steps <= MOST_STEPS:
        raise ConfigError(f"vtrans: steps must be from 1 to {MOST_STEPS}; got {schedule.steps}")
    if not 0 <= schedule.warmup <= 1:
        raise ConfigError(f"vtrans: warmup is a share of the steps, from 0 to 1; got {schedule.warmup:g}")
    if not 0 <= schedule.tuning <= MOST_STEPS:
        raise ConfigError(f"vtrans: tuning must be from 0 to {MOST_STEPS} steps; got {schedule.tuning}")
    if schedule.batch < 1:
        raise ConfigError(f"vtrans: batch must be at least 1; got {schedule.batch}")
    if not 0 < schedule.rate <= 1:
        raise ConfigError(f"vtrans: rate must be above 0 and at most 1; got {schedule.rate:g}")
    for name in ("beta", "hidden"):
        if not 0 <= (given := getattr(schedule, name)) < math.inf:
            raise ConfigError(f"vtrans: {name} is a weight, at least 0 and finite; got {given:g}")
    check_seed(schedule.seed)
