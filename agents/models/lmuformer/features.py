"""Sound → log-mel spectrogram, on torch.stft: HTK's mel scale, triangular filters, no look ahead beyond the window.

L samples, T frames, M bands.
"""

import math
from functools import cache

import torch
from torch import Tensor

LOUDNESS_FLOOR = 1e-5


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
