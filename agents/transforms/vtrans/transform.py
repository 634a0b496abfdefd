"""`vtrans`: heads, units and whole layers removed that an information bottleneck finds to say little.

Dutta et al. (2024, arXiv:2406.05276). There is no published code; what is taken from elsewhere is said in bottleneck.py, and
rates and factors are ours. Masks of the stream's width are left out, since they would change the tables.
"""

import torch

from agents.errors import ConfigError
from agents.transforms.calibration import OWN, calibration_rows, check_seed
from agents.transforms.subject import Outcome, Subject, layers_of
from agents.transforms.units import remove, shape_of, stored_sizes
from agents.transforms.vtrans.bottleneck import Bottleneck
from agents.transforms.vtrans.training import Learner, Plan, fold


def vtrans(
    subject: Subject,
    *,
    macs: float = 0.6,
    steps: int = 150,
    tuned: int = 50,
    batch: int = 8,
    weights: bool = False,
    rows: int = 64,
    length: int = 64,
    calibration: str = OWN,
    seed: int = 0,
) -> Outcome:
    """Learn which heads, units and layers say little, remove them, and scale what stays.

    Args:
        subject: the model; its tables stay as they are.
        macs: share of the blocks' multiply-accumulates that stays, over rows of the calibration's mean length; 1 changes nothing.
        steps: in which factors are learned under noise.
        tuned: steps in which those of what stays are learned further.
        batch: rows of a step.
        weights: learn the blocks' weights too (VTrans, and Fast-VTrans with few rows); without, factors alone (Faster-VTrans).
        rows, length, calibration, seed: texts to learn from (calibration.py); the seed also draws factors, noise and batches.

    Raises:
        ConfigError: a parameter out of range, or a budget too small for one unit.
        ModelError: a family whose blocks are not known.
    """
    if not 0 < macs <= 1:
        raise ConfigError(f"vtrans: macs is the share that stays, above 0 and at most 1; got {macs:g}")
    for name, given, least in (("steps", steps, 2), ("tuned", tuned, 0), ("batch", batch, 1)):
        if given < least:
            raise ConfigError(f"vtrans: {name} must be at least {least}; got {given}")
    check_seed(seed)
    shape = shape_of(subject, "vtrans")
    if macs == 1:
        return Outcome({"macs_kept": 1.0}, ("The budget is the whole model, so nothing was removed.",))
    texts = calibration_rows(subject, calibration, rows=rows, length=length, seed=seed)
    positions = max(1, round(int(texts.is_text.sum()) / len(texts.ids)))
    bottleneck = Bottleneck(shape, seed)
    learner = Learner(subject, bottleneck, texts, Plan(steps, tuned, batch, macs, positions, seed), weights=weights)
    with torch.enable_grad():
        learner.learn()
        masks = bottleneck.masks(positions, round(macs * shape.macs(positions)))
        if not masks.units.any() and not masks.heads.any():
            raise ConfigError("vtrans: the budget is too small for a single unit; raise macs")
        learner.tune(masks)
    learner.finish()
    expected = float(bottleneck.expected_macs(positions).detach())
    with torch.no_grad():
        heads, units = bottleneck.means(masks)
    fold(layers_of(subject, "vtrans"), heads, units)
    stored_heads, stored_units = stored_sizes(subject, masks.heads, masks.units)
    remove(subject, masks.heads, masks.units)
    # Factors have more digits than 16 bits keep.
    subject.dtype = torch.float32
    kept = int(masks.heads.sum()) * shape.head_macs(positions) + int(masks.units.sum()) * shape.unit_macs(positions)
    stored = shape.layers * (stored_heads * shape.head_macs(positions) + stored_units * shape.unit_macs(positions))
    facts = {
        "macs_kept": kept / shape.macs(positions),
        "macs_stored": stored / shape.macs(positions),
        "macs_expected": expected,
        "positions": positions,
        "heads": masks.heads.sum(1).tolist(),
        "units": masks.units.sum(1).tolist(),
    }
    learned = "factors and the blocks' weights" if weights else "factors alone"
    return Outcome(
        facts,
        (
            f"Heads and units that stay cost {facts['macs_kept']:.1%} of the blocks' multiply-accumulates over {positions} "
            f"positions. {learned.capitalize()} were learned from what the whole model believes, without labels. Each layer is "
            f"stored with {stored_heads} heads and {stored_units} units, filled up with zeros ({facts['macs_stored']:.1%}).",
        ),
    )
