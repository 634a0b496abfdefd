"""Sound → log-mel spectrogram as PaSST hears it (github kkoutini/PaSST, models/preprocess.py), on torch.stft.

It is not LMUFormer's: pre-emphasis, frames centred on reflected edges, a symmetric window, Kaldi's filters, whose triangles
are straight in mel and not in hertz, and a fixed scale.

B batch, L samples, T frames, M bands.
"""

import math
from functools import cache

import torch
from torch import Tensor

from agents.models.passt.config import PaSSTConfig

PRE_EMPHASIS, FLOOR = 0.97, 1e-5
OFFSET, SCALE = 4.5, 5.0


@cache
def kaldi_filters(bands: int, transform: int, rate_hz: int, top_hz: float) -> Tensor:
    """Return triangular filters [M, transform // 2 + 1], straight in mel(f) = 1127 ln(1 + f / 700); none at half the rate."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * (1.0 + hertz / 700.0).log()

    top = 1127.0 * math.log(1.0 + top_hz / 700.0)
    corners = torch.linspace(0.0, top, bands + 2, dtype=torch.float64)
    bins = mel(torch.arange(transform // 2, dtype=torch.float64) * rate_hz / transform)
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0.0)
    return torch.nn.functional.pad(filters, (0, 1)).float()


def spectrogram(samples: Tensor, config: PaSSTConfig) -> Tensor:
    """Return the scaled log power in mel bands [B, M, T] of samples [B, L]; T = 1 + (L - 1) // hop."""
    sharpened = samples[:, 1:] - PRE_EMPHASIS * samples[:, :-1]
    window = torch.hann_window(config.window, periodic=False)
    # What is shorter than half a transform cannot be reflected at its ends.
    pads = "reflect" if sharpened.shape[1] > config.transform // 2 else "constant"
    spectrum = torch.stft(
        sharpened,
        config.transform,
        config.hop,
        config.window,
        window=window,
        center=True,
        pad_mode=pads,
        return_complex=True,
    )
    filters = kaldi_filters(config.mels, config.transform, config.rate_hz, config.top_hz)
    found: Tensor = ((filters @ spectrum.abs() ** 2 + FLOOR).log() + OFFSET) / SCALE
    return found
