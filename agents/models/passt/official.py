"""Official checkpoints: files `passt-s-….pt` of github kkoutini/PaSST's releases, a state dict of tensors each.

All sizes are read off the tensors, the stride as the published one that gives as many rows; but the rate (32 kHz), the
spectrogram's transform, window and hop (1024, 800, 320) and the heads (64 wide) are known. The distillation head is not
used: the paper's model reads both tokens through one head.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from agents.errors import ModelError
from agents.models.checkpoint import official
from agents.models.passt.config import PaSSTConfig
from agents.models.passt.model import PaSST

MELS, HEAD_WIDTH = 128, 64
STRIDES = (10, 12, 14, 16)
UNUSED = ("head_dist.weight", "head_dist.bias")


def from_official(path: Path, labels: Sequence[str] | None = None) -> PaSST:
    """Return the model of an official file, in eval mode.

    Args:
        path: of the file.
        labels: of its classes, in order; the file does not name them, and they are called `class 0` and so on otherwise.

    Raises:
        ModelError: not such a file, or another number of labels.
    """
    with official(path, "PaSST") as weights:
        model = PaSST(official_config(weights, labels))
        model.load_state_dict({name: tensor for name, tensor in weights.items() if name not in UNUSED})
    return model.eval()


def official_config(weights: dict[str, Tensor], labels: Sequence[str] | None = None) -> PaSSTConfig:
    """Return the sizes of a state dict."""
    width, _, patch, _ = weights["patch_embed.proj.weight"].shape
    rows, columns = weights["freq_new_pos_embed"].shape[2], weights["time_new_pos_embed"].shape[3]
    stride = next((each for each in STRIDES if (MELS - patch) // each + 1 == rows), None)
    if stride is None:
        raise ValueError(f"of the published strides none gives {rows} rows of patches of {patch} over {MELS} bands")
    classes = len(weights["head.1.bias"])
    if labels is not None and len(labels) != classes:
        raise ModelError(f"the checkpoint has {classes} classes; {len(labels)} labels were given")
    return PaSSTConfig(
        tuple(labels) if labels is not None else tuple(f"class {number}" for number in range(classes)),
        rate_hz=32_000,
        transform=1024,
        window=800,
        hop=320,
        mels=MELS,
        top_hz=15_500.0,
        frames=(columns - 1) * stride + patch,
        patch=patch,
        stride=stride,
        width=width,
        depth=1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks.")),
        heads=width // HEAD_WIDTH,
        drop_times=0,
        drop_bands=0,
        drop_patches=0,
    )
