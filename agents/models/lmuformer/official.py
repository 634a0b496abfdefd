"""Official checkpoints: files `best_model.pth` that github zeyuliu1037/LMUFormer's training writes, a state dict of tensors each.

Two of its four models are read, by name: lmu_rnn_conv1d and slmu_rnn_ms_conv1d (spiking). All sizes are read off the tensors;
the rate (16 kHz), Kaldi's spectrogram and what it is scaled by are Speech Commands', as its `gsc.yml` has them.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from agents.models.checkpoint import check_finite, check_kinds, official
from agents.models.lmuformer.config import KALDI_HZ, LMUFormerConfig
from agents.models.lmuformer.memory import discrete
from agents.models.lmuformer.network import network
from agents.models.lmuformer.stream import Streamed
from agents.models.sounds.label_names import labels_of

MEAN, DEVIATION = -6.845978, 5.5654526
CELL = "block.0.attn.lmu"
FIXED = ("A", "B", "H", "fft_H")
"""Of the memory: they follow from its size and window."""

_SHARED = {
    r"residual\.": "patch_embed.rpe_conv.",
    r"signal\.": f"{CELL}.W_u.",
    r"hidden\.": f"{CELL}.W_h.",
    r"project\.0\.": "block.0.attn.proj_conv.",
    r"project\.1\.": "block.0.attn.proj_bn.",
    r"mixer\.0\.": "block.0.mlp.fc1_conv.",
    r"head\.": "head.",
}
_PLAIN = _SHARED | {
    r"embedding\.(\d)\.": r"patch_embed.conv_layers.\1.0.",
    r"norms\.(\d)\.": r"patch_embed.conv_layers.\1.3.",
    r"mixer\.1\.": "block.0.mlp.fc1_bn.",
    r"mixer\.3\.": "block.0.mlp.fc2_conv.",
    r"mixer\.4\.": "block.0.mlp.fc2_bn.",
}
_SPIKING = _SHARED | {
    r"embedding\.0\.": "patch_embed.proj_conv.",
    r"embedding\.(\d)\.": r"patch_embed.proj_conv\1.",
    r"fired\.0\.norm\.": "patch_embed.proj_bn.",
    r"fired\.(\d)\.norm\.": r"patch_embed.proj_bn\1.",
    r"entry\.norm\.": "block.0.attn.prev_bn.",
    r"signal_fired\.norm\.": f"{CELL}.bn_u.",
    r"memory_fired\.norm\.": f"{CELL}.bn_m.",
    r"hidden_fired\.norm\.": f"{CELL}.bn_h.",
    r"mixer\.1\.": "block.0.mlp.fc2_conv.",
    r"mixer_fired\.0\.norm\.": "block.0.mlp.fc1_bn.",
    r"mixer_fired\.1\.norm\.": "block.0.mlp.fc2_bn.",
    r"head_fired\.norm\.": "head_bn.",
}


def from_official(path: Path, labels: Sequence[str] | str | None = None) -> Streamed:
    """Return the model of an official file, in eval mode.

    Args:
        path: of the file.
        labels: of its classes (see `labels_of`); the file does not name them.

    Raises:
        ModelError: not such a file, more than one block, or another number of labels.
    """
    with official(path, "LMUFormer") as stored:
        # Trained as DataParallel, every name begins with `module.`
        weights = {name.removeprefix("module."): tensor for name, tensor in stored.items()}
        config = official_config(weights, labels)
        model = network(config)
        _check_memory(weights, config)
        names = {name: official_name(name, spiking=config.spiking) for name in model.state_dict()}
        if unknown := weights.keys() - set(names.values()) - {f"{CELL}.{name}" for name in FIXED}:
            raise ValueError(f"neither lmu_rnn_conv1d nor slmu_rnn_ms_conv1d of one block has {min(unknown)}")
        ours = model.state_dict()
        # Linear maps of single frames are convolutions of one tap in the spiking network.
        found = {name: _shaped(weights[theirs], ours[name]) for name, theirs in names.items()}
        check_finite(found)
        check_kinds(found, ours)
        model.load_state_dict(found)
    return model.eval()


def official_config(weights: Mapping[str, Tensor], labels: Sequence[str] | str | None = None) -> LMUFormerConfig:
    """Return the sizes of a state dict, its names without `module.`"""
    spiking = "patch_embed.proj_conv.weight" in weights
    first = weights["patch_embed.proj_conv.weight" if spiking else "patch_embed.conv_layers.0.0.weight"]
    classes, theta = len(weights["head.bias"]), weights[f"{CELL}.H"].shape[-1]
    return LMUFormerConfig(
        labels_of(classes, labels),
        rate_hz=KALDI_HZ,
        mels=first.shape[1],
        width=first.shape[0],
        theta=theta,
        expansion=weights["block.0.mlp.fc1_conv.weight"].shape[0] // first.shape[0],
        spiking=spiking,
        look_ahead=True,
        kaldi=True,
        frames=theta,
        mean=MEAN,
        deviation=DEVIATION,
    )


def official_name(name: str, *, spiking: bool) -> str:
    """Return what one of our tensors is called there."""
    for ours, theirs in (_SPIKING if spiking else _PLAIN).items():
        if (found := re.match(ours, name)) is not None:
            return found.expand(theirs) + name[found.end() :]
    raise KeyError(name)


def _check_memory(weights: Mapping[str, Tensor], config: LMUFormerConfig) -> None:
    theirs = weights[f"{CELL}.A"]
    ours, _ = discrete(len(theirs), config.theta)
    if theirs.shape != ours.shape or not torch.allclose(theirs.double(), ours, atol=1e-5):
        raise ValueError(f"its memory is not the Legendre memory of a window of {config.theta} frames")


def _shaped(theirs: Tensor, ours: Tensor) -> Tensor:
    return theirs[..., None] if theirs.dim() == ours.dim() - 1 and ours.shape[-1] == 1 else theirs
