"""The recipe: spoken digits in white noise of 0 to 30 dB, at any place in the time that is heard at once."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.claims import Claim
from agents.beliefs.sound_files import with_noise
from agents.models.checkpoint import CONFIG
from agents.models.passt.backend import PaSSTBackend
from agents.models.passt.config import PaSSTConfig
from agents.models.passt.features import spectrogram
from agents.models.passt.model import PaSST
from agents.models.seeded import seeded
from agents.models.sounds.spoken_digits import DIGITS, Clip, read_digits
from agents.models.sounds.training import SNR_DB, Recipe, digits_of, in_test_noise, train_on_digits
from agents.pretrained import Progress

RECIPE = Recipe(epochs=50, batch=30, learning_rate=2e-3, weight_decay=0.01)
RIDGE = 1.0
TIMED_STEPS = 15


def train(
    model: PaSST, clips: Sequence[Clip], recipe: Recipe, *, seed: int, progress: Progress = lambda _: None
) -> PaSST:
    """Return the trained model; each clip has new noise and a new place in every epoch."""

    def loss_of(chosen: Sequence[Clip], generator: torch.Generator) -> Tensor:
        frames = noisy_frames(chosen, model.config, generator)
        return functional.cross_entropy(model(frames, generator), digits_of(chosen))

    return train_on_digits(model, clips, loss_of, recipe, seed=seed, progress=progress)


def noisy_frames(clips: Sequence[Clip], config: PaSSTConfig, generator: torch.Generator) -> Tensor:
    """Return spectrograms [B, M, T] of clips with noise, each at a random place in the silence; longer ones are cut."""
    low, high = SNR_DB
    found = torch.zeros(len(clips), config.samples)
    for row, clip in zip(found, clips, strict=True):
        decibels = low + (high - low) * float(torch.rand((), generator=generator))
        samples = with_noise(clip.audio, decibels, generator).samples[: config.samples]
        first = int(torch.randint(config.samples - len(samples) + 1, (1,), generator=generator))
        row[first : first + len(samples)] = samples
    return spectrogram(found, config)


@torch.inference_mode()
def embedded(model: PaSST, clips: Sequence[Clip]) -> Tensor:
    """Return the embeddings [n, D] of clips in the test's noise, each from the beginning."""
    return torch.cat([model.eval().embed(frames) for frames in torch.split(heard_frames(clips, model.config), 100)])


def heard_frames(clips: Sequence[Clip], config: PaSSTConfig) -> Tensor:
    """Return the spectrograms [n, M, T] of clips at 10 dB, the same noise for everybody; longer ones are cut."""
    found = torch.zeros(len(clips), config.samples)
    for row, sound in zip(found, in_test_noise(clips), strict=True):
        samples = sound.samples[: config.samples]
        row[: len(samples)] = samples
    return spectrogram(found, config)


@torch.inference_mode()
def accuracy(model: PaSST, clips: Sequence[Clip]) -> float:
    """Return the share of right digits at 10 dB."""
    said = model.head(embedded(model, clips)).argmax(-1)
    return float((said == digits_of(clips)).float().mean())


def probed(known: Tensor, known_classes: Tensor, asked: Tensor, asked_classes: Tensor) -> float:
    """Return the accuracy of ridge regression on one-hot classes, of standardised features [n, D]: a linear probe."""
    mean, scale = known.mean(0), known.std(0).clamp_min(1e-6)
    x = functional.pad((known - mean) / scale, (0, 1), value=1.0).double()
    y = functional.one_hot(known_classes).double()
    weights = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=torch.float64), x.T @ y)
    said = functional.pad((asked - mean) / scale, (0, 1), value=1.0).double() @ weights
    return float((said.argmax(-1) == asked_classes).float().mean())


def speed_up(config: PaSSTConfig, batch: int) -> float:
    """Return how many times as long a step lasts without patchout: medians of steps by turns, on random frames."""
    models = {False: PaSST(config), True: PaSST(without_patchout(config))}
    frames, labels = torch.randn(batch, config.mels, config.frames), torch.zeros(batch, dtype=torch.long)
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(TIMED_STEPS):
        for whole, model in models.items():
            started = time.perf_counter()
            functional.cross_entropy(model(frames), labels).backward()  # type: ignore[no-untyped-call]
            times[whole].append(time.perf_counter() - started)
    return median(times[True]) / median(times[False])


def without_patchout(config: PaSSTConfig) -> PaSSTConfig:
    """Return the same model, trained on all patches."""
    return replace(config, drop_times=0, drop_bands=0, drop_patches=0)


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what of the paper's findings holds on spoken digits at 10 dB; every model is kept under `out`.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of the spoken digits.
        progress: told of each step that takes time.
    """
    config = PaSSTConfig(DIGITS)
    clips, test = (read_digits(data, split, rate_hz=config.rate_hz) for split in ("train", "test"))
    names = sorted({clip.speaker for clip in clips})
    voices, test_voices = (torch.tensor([names.index(clip.speaker) for clip in split]) for split in (clips, test))
    frames, asked = (heard_frames(split, config) for split in (clips, test))
    statistics = probed(
        torch.cat([frames.mean(2), frames.std(2)], 1), voices, torch.cat([asked.mean(2), asked.std(2)], 1), test_voices
    )
    ours, whole, speaker, faster = [], [], [], []
    for seed in range(seeds):
        found = {}
        for name, sizes in (("fsdd", config), ("fsdd-all-patches", without_patchout(config))):
            folder = out / f"{name}-{seed}"
            if not (folder / CONFIG).is_file():
                progress(f"training {name}, seed {seed}")
                made = seeded(lambda sizes=sizes: PaSST(sizes), seed)  # type: ignore[misc]
                PaSSTBackend(train(made, clips, RECIPE, seed=seed, progress=progress)).save_pretrained(folder)
            found[name] = PaSSTBackend.from_pretrained(str(folder)).model
        ours.append(accuracy(found["fsdd"], test))
        whole.append(accuracy(found["fsdd-all-patches"], test))
        speaker.append(probed(embedded(found["fsdd"], clips), voices, embedded(found["fsdd"], test), test_voices))
        faster.append(seeded(lambda: speed_up(config, RECIPE.batch), seed))
    return [
        Claim("digits at 10 dB: with patchout above without", tuple(ours), tuple(whole), least=0.0),
        Claim("a training step with patchout: times faster", tuple(faster), (1.0,) * seeds, least=0.5),
        Claim(
            "speakers, linear probe of the embedding: above mel statistics",
            tuple(speaker),
            (statistics,) * seeds,
            least=0.0,
        ),
    ]
