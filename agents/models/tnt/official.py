"""Official checkpoints: timm's `tnt_….safetensors`, and `tnt_s_81.5.pth.tar` and `tnt_b_82.9.pth.tar` of Efficient-AI-Backbones.

Sizes are read off the tensors but four: words are 4 pixels apart, heads 64 wide, inner heads four, and 0.9 of the shorter side
of a picture is seen, in every published model. Another side than theirs, other words in a patch, or widths of other heads are
refused: nothing in a file tells what they would mean. The authors' files have names and a layout of words' positions of their
own.
"""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from agents.models.checkpoint import count_blocks
from agents.models.tnt.config import TNTConfig
from agents.models.vision.label_names import labels_of
from agents.models.vision.published import HALVES

STRIDE, HEAD_WIDTH, INNER_HEADS, CROP = 4, 64, 4, 0.9
SIDE, PATCH = 224, 16
UNUSED = ("outer_tokens",)
NAMES = {
    "outer_pos": "patch_pos",
    "inner_pos": "pixel_pos",
    "patch_embed": "pixel_embed",
    "proj_norm1": "norm1_proj",
    "proj_norm2": "norm2_proj",
    "inner_norm1": "norm_in",
    "inner_attn": "attn_in",
    "inner_norm2": "norm_mlp_in",
    "inner_mlp": "mlp_in",
    "outer_norm1": "norm_out",
    "outer_attn": "attn_out",
    "outer_norm2": "norm_mlp",
    "outer_mlp": "mlp",
}
"""The authors' name of a module → timm's, which is ours."""


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with timm's names and layout."""
    found = {
        ".".join(NAMES.get(part, part) for part in name.split(".")): tensor
        for name, tensor in weights.items()
        if name not in UNUSED
    }
    positions = found["pixel_pos"]
    if positions.ndim == 3:
        row = math.isqrt(positions.shape[1])
        found["pixel_pos"] = positions.transpose(1, 2).reshape(1, -1, row, row)
    return found


def official_config(weights: Mapping[str, Tensor], labels: Sequence[str] | str | None = None) -> TNTConfig:
    """Return the sizes of a state dict with timm's names."""
    width, (_, inner_width, row, _) = weights["cls_token"].shape[2], weights["pixel_pos"].shape
    patch = row * STRIDE
    side = math.isqrt(weights["patch_pos"].shape[1] - 1) * patch
    if (side, patch) != (SIDE, PATCH):
        raise ValueError(f"no published model has a side of {side} pixels and patches of {patch}")
    if min(width, inner_width) < 1 or width % HEAD_WIDTH or inner_width % INNER_HEADS:
        raise ValueError(
            f"published models are a multiple of {HEAD_WIDTH} wide, and of {INNER_HEADS} within a patch; this has {width} and "
            f"{inner_width}"
        )
    return TNTConfig(
        labels_of(len(weights["head.bias"]), labels),
        side=side,
        patch=patch,
        stride=STRIDE,
        width=width,
        depth=count_blocks(weights, "blocks."),
        heads=width // HEAD_WIDTH,
        inner_width=inner_width,
        inner_heads=INNER_HEADS,
        whole="blocks.0.norm2_proj.weight" not in weights,
        crop=CROP,
        mean=HALVES.mean,
        deviation=HALVES.deviation,
    )
