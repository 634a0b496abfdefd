"""Reading 16-bit WAV files, with the standard library."""

import io
import wave

import torch

from agents.errors import ObservationError
from agents.observation import Audio


def read_wav(blob: bytes, *, source: str) -> Audio:
    """Return the sound in a WAV file of one channel of 16-bit samples, between -1 and 1.

    Raises:
        ObservationError: anything else; the text names the source.
    """
    try:
        with wave.open(io.BytesIO(blob)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ObservationError(f"{source}: not a WAV file ({error})") from error
    if (channels, width) != (1, 2):
        raise ObservationError(f"{source}: one channel of 16 bits is read; this has {channels} of {8 * width}")
    samples = torch.frombuffer(bytearray(raw), dtype=torch.int16) if raw else torch.zeros(0, dtype=torch.int16)
    return Audio(samples.float() / 32768.0, rate)


def with_noise(audio: Audio, snr_db: float, generator: torch.Generator) -> Audio:
    """Return a sound with white noise at a signal-to-noise ratio, in decibels of mean power."""
    power = float(audio.samples.pow(2).mean()) if len(audio.samples) else 0.0
    noise = torch.randn(len(audio.samples), generator=generator) * (power / 10 ** (snr_db / 10)) ** 0.5
    return Audio(audio.samples + noise, audio.rate_hz)
