"""Official checkpoints: files `passt-s-….pt` of github kkoutini/PaSST's releases, a state dict of tensors each.

All sizes are read off the tensors, the stride as the published one that gives as many rows, the hop as that of the published
file with so many time positions; but the rate (32 kHz), the spectrogram's transform and window (1024, 800), its bands' end at
evaluation (15 kHz: github kkoutini/passt_hear21, models/preprocess.py) and the heads (64 wide) are known. Files of 2,000 frames
are of 20 s (hop 320) or of 10 s (hop 160): their names tell, or `hop` is asked for. The distillation head is not used: the
paper's model reads both tokens through one head.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from agents.errors import ModelError
from agents.models.checkpoint import count_blocks, filled, official
from agents.models.passt.config import PaSSTConfig
from agents.models.passt.model import PaSST
from agents.models.sounds.label_names import labels_of

RATE_HZ, MELS, TOP_HZ, HEAD_WIDTH = 32_000, 128, 15_000.0, 64
STRIDES = (10, 12, 14, 16)
HOPS = {998: (320,), 2000: (320, 160), 3000: (320,), 3200: (100,)}
"""Frames that a published file has positions for → hops of the files with so many."""
UNUSED = ("head_dist.weight", "head_dist.bias")


def from_official(path: Path, labels: Sequence[str] | str | None = None, *, hop: int | None = None) -> PaSST:
    """Return the model of an official file, in eval mode.

    Args:
        path: of the file.
        labels: of its classes (see `labels_of`); the file does not name them.
        hop: of its spectrogram, in samples; needed where neither tensors nor name tell.

    Raises:
        ModelError: not such a file, another number of labels, or a hop that cannot be told.
    """
    with official(path, "PaSST") as weights:
        config = official_config(weights, labels, hop=hop, name=path.name)
        return filled(lambda: PaSST(config), {name: tensor for name, tensor in weights.items() if name not in UNUSED})


def official_config(
    weights: dict[str, Tensor], labels: Sequence[str] | str | None = None, *, hop: int | None = None, name: str = ""
) -> PaSSTConfig:
    """Return the sizes of a state dict, of a file of that name."""
    width, _, patch, _ = weights["patch_embed.proj.weight"].shape
    rows, columns = weights["freq_new_pos_embed"].shape[2], weights["time_new_pos_embed"].shape[3]
    stride = next((each for each in STRIDES if (MELS - patch) // each + 1 == rows), None)
    if stride is None:
        raise ValueError(f"of the published strides none gives {rows} rows of patches of {patch} over {MELS} bands")
    if width < HEAD_WIDTH or width % HEAD_WIDTH:
        raise ValueError(f"published models are a multiple of {HEAD_WIDTH} wide; this has {width}")
    hop = hop if hop is not None else _hop(columns, stride, name)
    if hop < 1:
        raise ModelError(f"hop is at least 1 sample; got {hop}")
    # 998 frames are published for 10 s, which has 1,000: whole seconds are meant.
    seconds = max(round(columns * stride * hop / RATE_HZ), 1)
    return PaSSTConfig(
        labels_of(len(weights["head.1.bias"]), labels),
        rate_hz=RATE_HZ,
        transform=1024,
        window=800,
        hop=hop,
        mels=MELS,
        top_hz=TOP_HZ,
        frames=(columns - 1) * stride + patch,
        patch=patch,
        stride=stride,
        width=width,
        depth=count_blocks(weights, "blocks."),
        heads=width // HEAD_WIDTH,
        longest=seconds * RATE_HZ,
        cut=True,
        drop_times=0,
        drop_bands=0,
        drop_patches=0,
    )


def _hop(columns: int, stride: int, name: str) -> int:
    """Return the hop of the published files with so many columns of patches, or what a file's name says."""
    found = next((hops for frames, hops in HOPS.items() if frames // stride == columns), ())
    if len(found) == 1:
        return found[0]
    if (said := re.search(r"stfthop(\d+)", name)) is not None:
        return int(said[1])
    if found and re.search(r"\d+sec", name):
        return found[0]
    if found:
        raise ModelError(
            f"its {columns} columns of patches are those of the file of 20 s and of the one with hop 160, and its name has "
            "neither `20sec` nor `stfthop160`: give options: {hop: 320} or {hop: 160}"
        )
    raise ModelError(
        f"no published file has {columns} columns of patches: give its spectrogram's options: {{hop: SAMPLES}}"
    )
