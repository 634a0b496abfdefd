"""What a model costs, counted from its modules and files as they are, whatever recipe made it and in however many steps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from agents.model_folder import stored_weights
from agents.transforms.topk.layer import TopKFeedForward


@dataclass(frozen=True)
class Maps:
    """The linear maps of a model but for its output table.

    Attributes:
        macs: multiply-accumulates of one token in them: the weights that they have. Attention, norms and tables are left out.
        used: those that a token needs: of rows and columns that are not all zeros, and of as many as there are activations that
            a layer keeps. What removal leaves of a layer that is narrower than the widest one is filled up with zeros, which an
            engine computes and nobody needs; likewise activations that are put to zero.
    """

    macs: int
    used: int


def counted_maps(model: Any) -> Maps:
    """Return what the linear maps of transformers' model cost a token."""
    from transformers.pytorch_utils import Conv1D

    output = model.get_output_embeddings()
    needed = {
        linear: most
        for module in model.modules()
        if isinstance(module, TopKFeedForward)
        for linear, most in module.needed().items()
    }
    macs = used = 0
    for module in model.modules():
        if module is output or not isinstance(module, nn.Linear | Conv1D):
            continue
        weight: Tensor = module.weight.detach()
        full = weight != 0
        macs += weight.numel()
        rows, columns = needed.get(module, tuple(weight.shape))
        used += min(rows, int(full.any(1).sum())) * min(columns, int(full.any(0).sum()))
    return Maps(macs, used)


def stored_bytes(folder: Path, name: str) -> int:
    """Return the bytes of the weights in a model's files.

    Raises:
        ModelError: they cannot be read.
    """
    return sum(weight.nbytes for _, weight in stored_weights(folder, name))


def whole_facts(before: Maps, after: Maps, base: Path, folder: Path, name: str) -> dict[str, int]:
    """Return a copy's cost beside its base's, as JSON values: of all steps together."""
    return {
        "map_macs": after.macs,
        "map_macs_used": after.used,
        "map_macs_before": before.macs,
        "weight_bytes": stored_bytes(folder, name),
        "weight_bytes_before": stored_bytes(base, name),
    }


def kept_share(record: dict[str, Any]) -> float | None:
    """Return the share that a copy keeps of its first base's multiply-accumulates, by its record.

    Of one transform of a model that was not transformed before, the share that it reports. After several that keep a share
    each, what is counted of the maps as they are: the later share is of a model that may be filled up with zeros, so the
    product of the two would be too small or too large. Factors stand in a folder as their products: where they are the last
    step, theirs are counted, of the maps that the steps before left; where a later step changed the products, or an earlier
    version wrote the record, it is not known.

    Returns:
        the share; None where it is not known.
    """
    own = record.get("steps", [])
    shares = [float(step["macs_kept"]) for step in own if step.get("macs_kept", 1.0) != 1.0]
    if "base_made_by" not in record and not any("factor_bytes" in step for step in own[:-1]):
        if not shares:
            return 1.0
        if len(shares) == 1:
            return shares[0]
    first, records = record, [record]
    while isinstance(earlier := first.get("base_made_by"), dict):
        first, records = earlier, [earlier, *records]
    if not all(isinstance(one.get("whole"), dict) for one in records):
        return None
    steps = [step for one in records for step in one.get("steps", [])]
    factored = [step for step in steps if "factor_bytes" in step]
    base = int(first["whole"]["map_macs_before"])
    if not base or (factored and factored != steps[-1:]):
        return None
    if factored:
        return float(steps[-1]["macs_kept"]) * int(record["whole"]["map_macs"]) / base
    return int(record["whole"]["map_macs_used"]) / base
