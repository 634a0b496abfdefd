"""Three bands of a sound as channels, each in the statistics that the paper takes of speech.

Of each mel band the mean and the deviation over time of its log power and of its change from frame to frame (the paper: 64
bands, 256 numbers); here 39 bands, the lowest, middle and highest 13 of which are a channel each.

L samples, T frames, M bands.
"""

import torch
from torch import Tensor

from agents.models.fusion.config import AUDIO, FusionConfig
from agents.models.lmuformer.features import log_mel
from agents.models.sounds.spoken_digits import DIGITS
from agents.observation import Audio

WINDOW, HOP, BANDS = 256, 80, 39
STATISTICS = ("mean", "deviation", "mean change", "deviation of change")
NAMES = ("low", "middle", "high")
RATE_HZ = 8000


def _columns(channel: int) -> tuple[str, ...]:
    each = BANDS // len(NAMES)
    return tuple(
        f"band {band + 1}: {what}" for what in STATISTICS for band in range(each * channel, each * (channel + 1))
    )


CONFIG = FusionConfig(
    tuple(str(digit) for digit in range(len(DIGITS))),
    {name: _columns(place) for place, name in enumerate(NAMES)},
    modality=AUDIO,
    rate_hz=RATE_HZ,
)


def band_statistics(audio: Audio) -> Tensor:
    """Return the columns [F] of a sound of 8 kHz, in the order of `CONFIG.columns`."""
    power = log_mel(audio.samples, rate_hz=audio.rate_hz, window=WINDOW, hop=HOP, bands=BANDS).double()
    change = power[1:] - power[:-1] if len(power) > 1 else torch.zeros_like(power)
    parts = (power, change)
    stacked = torch.stack([what for part in parts for what in (part.mean(0), part.std(0, correction=0))])
    stacked = stacked.reshape(len(STATISTICS), len(NAMES), -1)
    return stacked.transpose(0, 1).flatten()
