"""Official checkpoints: timm's `crossvit_….safetensors` and the `.pth` files of github IBM/CrossViT's release.

All sizes are read off the tensors but two: heads are 32 wide in the branch of small patches, in every published model, and a
picture's margins are cut off (timm's 0.875) where it is of 240 pixels, and not where it is of 408. Other sides than those of the
published models, other patches, or widths of other heads are refused: nothing in a file tells what they would mean.
"""

import math
import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from agents.models.checkpoint import count_blocks
from agents.models.crossvit.config import CrossViTConfig
from agents.models.crossvit.model import BRANCHES
from agents.models.vision.label_names import labels_of
from agents.models.vision.published import IMAGENET

HEAD_WIDTH = 32
CROPS: dict[tuple[int, ...], float] = {(240, 224): 0.875, (408, 384): 1.0}
"""Sides of the published models' branches → how much of a picture is seen."""
PATCHES = (12, 16)


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with timm's names, which are ours: `pos_embed.0` of IBM's files is `pos_embed_0`."""
    return {re.sub(r"^(pos_embed|cls_token)\.(\d)$", r"\1_\2", name): tensor for name, tensor in weights.items()}


def official_config(weights: Mapping[str, Tensor], labels: Sequence[str] | str | None = None) -> CrossViTConfig:
    """Return the sizes of a state dict with timm's names."""
    has_stem = "patch_embed.0.proj.0.weight" in weights
    patches = PATCHES if has_stem else tuple(_size(weights, f"patch_embed.{i}.proj.weight", -1) for i in BRANCHES)
    sides = tuple(math.isqrt(_size(weights, f"pos_embed_{i}", 1) - 1) * patches[i] for i in BRANCHES)
    widths = tuple(_size(weights, f"cls_token_{i}", -1) for i in BRANCHES)
    if patches != PATCHES or sides not in CROPS:
        raise ValueError(f"no published model has sides of {sides} pixels and patches of {patches}")
    if widths[0] < HEAD_WIDTH or widths[0] % HEAD_WIDTH or widths[1] != 2 * widths[0]:
        raise ValueError(
            f"published models are a multiple of {HEAD_WIDTH} wide in the first branch and twice as wide in the second; "
            f"this has {widths}"
        )
    return CrossViTConfig(
        labels_of(_size(weights, "head.0.bias", 0), labels),
        sides=(sides[0], sides[1]),
        patches=(patches[0], patches[1]),
        widths=(widths[0], widths[1]),
        depths=(count_blocks(weights, "blocks.0.blocks.0."), count_blocks(weights, "blocks.0.blocks.1.")),
        hidden=(
            _size(weights, "blocks.0.blocks.0.0.mlp.fc1.bias", 0),
            _size(weights, "blocks.0.blocks.1.0.mlp.fc1.bias", 0),
        ),
        stages=count_blocks(weights, "blocks."),
        heads=widths[0] // HEAD_WIDTH,
        stem=has_stem,
        crop=CROPS[sides],
        mean=IMAGENET.mean,
        deviation=IMAGENET.deviation,
    )


def _size(weights: Mapping[str, Tensor], name: str, axis: int) -> int:
    return weights[name].shape[axis]
