"""The recipe: spoken digits (Free Spoken Digit Dataset) with white noise of 0 to 30 dB, cross-entropy of the mean score."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.beliefs.sound_files import with_noise
from agents.models.checkpoint import CONFIG
from agents.models.lmuformer.backend import LMUFormerBackend
from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.features import spectrogram
from agents.models.lmuformer.model import BareLMU
from agents.models.lmuformer.network import network
from agents.models.seeded import seeded
from agents.models.sounds.spoken_digits import DIGITS, Clip, read_digits
from agents.models.sounds.training import SNR_DB, TEST_SNR_DB, M, Recipe, digits_of, in_test_noise, train_on_digits
from agents.observation import Audio
from agents.pretrained import Progress

RECIPE = Recipe(epochs=20, batch=30, learning_rate=3e-3, weight_decay=1e-3)


def train(
    model: M, config: LMUFormerConfig, clips: Sequence[Clip], recipe: Recipe, *, seed: int, progress: Progress
) -> M:
    """Return the trained model; each clip has new noise in every epoch."""

    def loss_of(chosen: Sequence[Clip], generator: torch.Generator) -> Tensor:
        low, high = SNR_DB
        decibels = low + (high - low) * torch.rand(len(chosen), generator=generator)
        noisy = [with_noise(c.audio, float(snr), generator) for c, snr in zip(chosen, decibels, strict=True)]
        frames, lengths = padded(noisy, config)
        return functional.cross_entropy(mean_scores(model(frames), lengths), digits_of(chosen))

    return train_on_digits(model, clips, loss_of, recipe, seed=seed, progress=progress)


def padded(sounds: Sequence[Audio], config: LMUFormerConfig) -> tuple[Tensor, Tensor]:
    """Return spectrograms [B, T, M], padded with silence, and their lengths [B]."""
    found = [spectrogram(sound.samples, config) for sound in sounds]
    lengths = torch.tensor([len(frames) for frames in found])
    silence = float(torch.tensor(1e-5).log())
    return nn.utils.rnn.pad_sequence(found, batch_first=True, padding_value=silence), lengths


def mean_scores(scores: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean over each sequence's own frames [B, K] of scores [B, T, K]."""
    there = (torch.arange(scores.shape[1])[None] < lengths[:, None])[..., None]
    return (scores * there).sum(1) / lengths[:, None]


@torch.inference_mode()
def accuracy(
    model: nn.Module, config: LMUFormerConfig, clips: Sequence[Clip], *, snr_db: float = TEST_SNR_DB, heard: float = 1.0
) -> float:
    """Return the share of right digits at a noise level, the same noise for everybody, after a share of the frames."""
    frames, lengths = padded(in_test_noise(clips, snr_db), config)
    lengths = (lengths * heard).round().clamp_min(1)
    said = mean_scores(model.eval()(frames), lengths).argmax(-1)
    return float((said == digits_of(clips)).float().mean())


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what of the paper's findings holds on spoken digits at 10 dB; every model is kept under `out`.

    Args:
        out: models that are there are not trained again; the baseline is.
        seeds: training seeds, from 0.
        data: folder of the spoken digits.
        progress: told of each step that takes time.
    """
    config = LMUFormerConfig(DIGITS)
    clips, test = (read_digits(data, split, rate_hz=config.rate_hz) for split in ("train", "test"))
    whole, early, spiking, bare = [], [], [], []
    for seed in range(seeds):
        model = _kept(out / f"fsdd-{seed}", config, clips, seed, progress)
        whole.append(accuracy(model, config, test))
        early.append(accuracy(model, config, test, heard=2 / 3))
        fires = replace(config, spiking=True)
        spiking.append(accuracy(_kept(out / f"fsdd-{seed}-spiking", fires, clips, seed, progress), fires, test))
        progress(f"training the bare memory, seed {seed}")
        plain = train(seeded(lambda: BareLMU(config), seed), config, clips, RECIPE, seed=seed, progress=lambda _: None)
        bare.append(accuracy(plain, config, test))
    return [
        Claim("digits at 10 dB: above the bare memory", tuple(whole), tuple(bare), least=0.03),
        Claim("digits at 10 dB: after two thirds of the frames as after all", tuple(early), tuple(whole), within=0.02),
        Claim("digits at 10 dB: with spikes near without", tuple(spiking), tuple(whole), within=0.03),
    ]


def _kept(folder: Path, config: LMUFormerConfig, clips: Sequence[Clip], seed: int, progress: Progress) -> nn.Module:
    """Return the model of a folder, trained first where there is none."""
    if not (folder / CONFIG).is_file():
        progress(f"training LMUFormer{', spiking' if config.spiking else ''}, seed {seed}")
        made = train(seeded(lambda: network(config), seed), config, clips, RECIPE, seed=seed, progress=progress)
        LMUFormerBackend(made).save_pretrained(folder)
    return LMUFormerBackend.from_pretrained(str(folder)).model
