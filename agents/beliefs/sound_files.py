"""Sound files, and sounds at another rate. A WAV of 16 bits is read without a library, everything else with the extra `sound`.

What is read may come from anybody: a few kilobytes of FLAC may unpack to any size, and say of themselves any other.
"""

import io
import wave
from typing import Any

import torch
from torch import Tensor

from agents.errors import MissingDependency, ObservationError
from agents.observation import Audio

EXTRA = "sound"
MOST_SAMPLES = 1_000_000_000
"""Of all channels: of a CD three hours."""
LONGEST_S = 10_800
_BLOCK = 1 << 16


class NotWav(ObservationError):
    """A file that is no WAV of one channel of 16 bits; it may be another sound."""


def read_wav(blob: bytes, *, source: str) -> Audio:
    """Return the sound in a WAV file of one channel of 16-bit samples, between -1 and 1.

    Raises:
        ObservationError: anything else, or more samples or hours than are read; the text names the source.
    """
    try:
        with wave.open(io.BytesIO(blob)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # the last where a part says that it is longer than the file
        raise NotWav(f"{source}: not a WAV file ({error})") from error
    if (channels, width) != (1, 2):
        raise NotWav(f"{source}: one channel of 16 bits is read; this has {channels} of {8 * width}")
    whole = raw[: len(raw) // width * width]
    samples = torch.frombuffer(bytearray(whole), dtype=torch.int16) if whole else torch.zeros(0, dtype=torch.int16)
    _check_length(len(samples), 1, rate, source)
    return Audio(samples.float() / 32768.0, rate)


def read_sound(blob: bytes, *, source: str) -> Audio:
    """Return the sound in a file: WAV, FLAC, OGG, MP3 and what else libsndfile reads; several channels are averaged.

    Raises:
        ObservationError: the file is not a sound, or one of too many samples or hours; the text names the source.
        MissingDependency: not a WAV of one channel of 16 bits, and no soundfile.
    """
    try:
        return read_wav(blob, source=source)
    except NotWav:
        try:
            import soundfile
        except ModuleNotFoundError as error:
            raise MissingDependency(f"reading {source}", "soundfile", EXTRA) from error
        try:
            with soundfile.SoundFile(io.BytesIO(blob)) as file:
                return _unpacked(file, source)
        except (
            RuntimeError,
            ValueError,
            TypeError,
        ) as error:  # the library's own, and what it makes of impossible heads
            raise ObservationError(f"{source}: not a sound file that can be read (WAV, FLAC, OGG, MP3)") from error


def _unpacked(file: Any, source: str) -> Audio:
    """Return the sound in a file of the library, read block by block: what its head says of its length is not relied on."""
    mixed: list[Tensor] = []
    length = 0
    while True:
        block = file.read(_BLOCK, dtype="float32", always_2d=True)
        length += len(block)
        _check_length(length, file.channels, file.samplerate, source)
        mixed.append(torch.from_numpy(block).mean(1))
        if len(block) < _BLOCK:
            return Audio(torch.cat(mixed), file.samplerate)


def _check_length(frames: int, channels: int, rate_hz: int, source: str) -> None:
    if frames * channels > MOST_SAMPLES:
        raise ObservationError(
            f"{source}: more than {MOST_SAMPLES:,} samples are not read; cut it, or give fewer channels"
        )
    if frames > LONGEST_S * rate_hz:
        raise ObservationError(
            f"{source}: a sound of {rate_hz} Hz of more than {LONGEST_S / 3600:g} hours is not read; cut it"
        )


def resampled(audio: Audio, rate_hz: int) -> Audio:
    """Return a sound at another rate, by soxr's high-quality resampling; the same sound where it has that rate.

    Raises:
        MissingDependency: another rate, and no soxr.
    """
    if audio.rate_hz == rate_hz or audio.is_empty:
        return audio
    try:
        import soxr
    except ModuleNotFoundError as error:
        raise MissingDependency(f"sound of {audio.rate_hz} Hz for a model of {rate_hz} Hz", "soxr", EXTRA) from error
    found = soxr.resample(audio.samples.numpy(), audio.rate_hz, rate_hz)
    return Audio(torch.from_numpy(found), rate_hz)


def with_noise(audio: Audio, snr_db: float, generator: torch.Generator) -> Audio:
    """Return a sound with white noise at a signal-to-noise ratio, in decibels of mean power."""
    power = float(audio.samples.pow(2).mean()) if len(audio.samples) else 0.0
    noise = torch.randn(len(audio.samples), generator=generator) * (power / 10 ** (snr_db / 10)) ** 0.5
    return Audio(audio.samples + noise, audio.rate_hz)
