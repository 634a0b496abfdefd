"""Sound → log-mel spectrogram: ours on torch.stft (HTK's mel scale, triangular filters), or Kaldi's, as the paper's code has it.

L samples, T frames, M bands.
"""

import math
import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor

from agents.models.lmuformer.config import KALDI_HZ, LMUFormerConfig

KALDI_WINDOW, KALDI_HOP, KALDI_TRANSFORM = 400, 160, 512
LOUDNESS_FLOOR = 1e-5


def spectrogram(samples: Tensor, config: LMUFormerConfig) -> Tensor:
    """Return what a model hears [T, M] of samples [L]."""
    if config.kaldi:
        found = kaldi_log_mel(samples, config.mels)
    else:
        found = log_mel(samples, rate_hz=config.rate_hz, window=config.window, hop=config.hop, bands=config.mels)
    if config.frames:
        found = torch.nn.functional.pad(found[: config.frames], (0, 0, 0, max(0, config.frames - len(found))))
    return (found - config.mean) / (2 * config.deviation) if config.kaldi else found


def longest_s(config: LMUFormerConfig) -> float:
    """Return how many seconds of a sound are in the frames that a model hears; infinitely many where it hears all."""
    if not config.frames:
        return math.inf
    window, hop = (KALDI_WINDOW, KALDI_HOP) if config.kaldi else (config.window, config.hop)
    # What is short of one more frame is in none of a sound of any length.
    return (window + config.frames * hop - 1) / config.rate_hz


def kaldi_log_mel(samples: Tensor, bands: int) -> Tensor:
    """Return Kaldi's log power in mel bands [T, M], not scaled: frames of 25 ms, without their mean, sharpened, in a Hann window.

    By transformers' audio functions, with the settings of the paper's code.
    """
    from transformers.audio_utils import spectrogram as framed
    from transformers.audio_utils import window_function

    heard = torch.nn.functional.pad(samples, (0, max(0, KALDI_WINDOW - len(samples))))
    found = framed(
        (heard - heard.mean()).numpy(), window_function(KALDI_WINDOW, "hann", periodic=False), frame_length=KALDI_WINDOW,
        hop_length=KALDI_HOP, fft_length=KALDI_TRANSFORM, power=2.0, center=False, preemphasis=0.97,
        mel_filters=_kaldi_filters(bands), log_mel="log", mel_floor=torch.finfo(torch.float32).eps, remove_dc_offset=True,
    )  # fmt: skip
    return torch.from_numpy(found.T)


@cache
def _kaldi_filters(bands: int) -> Any:
    from transformers.audio_utils import mel_filter_bank

    with warnings.catch_warnings():
        # The lowest of 128 bands are narrower than the transform's bins and hear nothing, in Kaldi as here.
        warnings.filterwarnings("ignore", "At least one mel filter has all zero values")
        return mel_filter_bank(
            KALDI_TRANSFORM // 2 + 1,
            bands,
            20,
            KALDI_HZ // 2,
            KALDI_HZ,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )


@cache
def mel_filters(bands: int, window: int, rate_hz: int) -> Tensor:
    """Return triangular filters [M, window // 2 + 1], evenly spaced in mel(f) = 2595 log10(1 + f / 700) up to rate / 2."""

    def hertz(mel: Tensor) -> Tensor:
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)

    top = 2595.0 * math.log10(1.0 + rate_hz / 2 / 700.0)
    corners = hertz(torch.linspace(0.0, top, bands + 2, dtype=torch.float64))
    bins = torch.linspace(0.0, rate_hz / 2, window // 2 + 1, dtype=torch.float64)
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp_min(0.0).float()


def log_mel(samples: Tensor, *, rate_hz: int, window: int, hop: int, bands: int) -> Tensor:
    """Return the log power in mel bands [T, M] of samples [L]; a sound shorter than one window is padded with silence."""
    if len(samples) < window:
        samples = torch.nn.functional.pad(samples, (0, window - len(samples)))
    spectrum = torch.stft(samples, window, hop, window=torch.hann_window(window), center=False, return_complex=True)
    power = spectrum.abs() ** 2
    found: Tensor = (mel_filters(bands, window, rate_hz) @ power + LOUDNESS_FLOOR).log().T
    return found
