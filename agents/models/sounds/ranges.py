"""How large the numbers of a spectrogram may be: a checkpoint that says others would fill the memory with its first sound."""

from typing import Any

LEAST_HZ = 1000
MOST = {
    "rate_hz": 384_000,
    "transform": 1 << 16,
    "window": 1 << 16,
    "hop": 1 << 16,
    "mels": 1 << 10,
    "frames": 1 << 17,
    "longest": 1 << 25,
}
"""Field of a config → the most of it: samples, bands, frames; a second of sound has at most `rate_hz` samples."""


def check_ranges(config: Any) -> str | None:
    """Return what is wrong with the numbers of a config that has some of these fields; None where nothing is."""
    if not config.rate_hz >= LEAST_HZ:
        return f"rate_hz is at least {LEAST_HZ:,}; got {config.rate_hz}"
    for name, most in MOST.items():
        if (value := getattr(config, name, 0)) > most:
            return f"{name} is at most {most:,}; got {value:,}"
    return None
