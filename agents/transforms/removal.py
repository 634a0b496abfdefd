"""The end of every transform that removes heads and units: what stays is stored as it can be, and counted.

L layers, G heads and F units a layer.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from agents.transforms.subject import Subject
from agents.transforms.units import Shape, remove, stored_sizes


@dataclass(frozen=True)
class Masks:
    """What stays.

    Attributes:
        heads: [L, G] bool.
        units: [L, F] bool.
    """

    heads: Tensor
    units: Tensor


def removed(subject: Subject, shape: Shape, masks: Masks, positions: int) -> dict[str, Any]:
    """Remove from a model what does not stay, and return what is left, as JSON values.

    Args:
        subject: the model.
        shape: its sizes before.
        masks: what stays.
        positions: over which multiply-accumulates are counted.
    """
    stored_heads, stored_units = stored_sizes(subject, masks.heads, masks.units)
    before = _parameters(subject)
    remove(subject, masks.heads, masks.units)
    kept = int(masks.heads.sum()) * shape.head_macs(positions) + int(masks.units.sum()) * shape.unit_macs(positions)
    stored = shape.layers * (stored_heads * shape.head_macs(positions) + stored_units * shape.unit_macs(positions))
    return {
        "macs_kept": kept / shape.macs(positions),
        "macs_stored": stored / shape.macs(positions),
        "positions": positions,
        "heads": masks.heads.sum(1).tolist(),
        "units": masks.units.sum(1).tolist(),
        "parameters_before": before,
        "parameters": _parameters(subject),
    }


def kept_remark(facts: dict[str, Any], how: str) -> str:
    """Return what stays as a sentence; `how` ends it."""
    return (
        f"Heads and units that stay cost {facts['macs_kept']:.1%} of the blocks' multiply-accumulates over "
        f"{facts['positions']} positions; {how}"
    )


def filled_remarks(subject: Subject, facts: dict[str, Any], *more: str) -> tuple[str, ...]:
    """Return what is filled up with zeros, as a sentence, and `more` after it; nothing where nothing is."""
    if facts["macs_stored"] <= facts["macs_kept"] + 1e-9:
        return ()
    config = subject.model.config
    said = (
        f"Layers keep different numbers ({facts['heads']} heads, {facts['units']} units), and a config has one for all. "
        f"Each is stored with {config.num_key_value_heads} heads and {config.intermediate_size} units, filled up with zeros, "
        f"and computed at {facts['macs_stored']:.1%}."
    )
    return (" ".join([said, *more]),)


def _parameters(subject: Subject) -> int:
    return sum(parameter.numel() for parameter in subject.model.parameters())
