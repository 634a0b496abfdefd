"""Sound files, and sounds at another rate. A WAV of 16 bits is read without a library, everything else with the extra `sound`."""

import io
import wave

import torch

from agents.errors import MissingDependency, ObservationError
from agents.observation import Audio

EXTRA = "sound"


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


def read_sound(blob: bytes, *, source: str) -> Audio:
    """Return the sound in a file: WAV, FLAC, OGG, MP3 and what else libsndfile reads; several channels are averaged.

    Raises:
        ObservationError: the file is not a sound; the text names the source.
        MissingDependency: not a WAV of one channel of 16 bits, and no soundfile.
    """
    try:
        return read_wav(blob, source=source)
    except ObservationError as plain:
        try:
            import soundfile
        except ModuleNotFoundError as error:
            raise MissingDependency(f"reading {source}", "soundfile", EXTRA) from error
        try:
            samples, rate = soundfile.read(io.BytesIO(blob), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            raise ObservationError(f"{source}: not a sound file that can be read (WAV, FLAC, OGG, MP3)") from plain
    return Audio(torch.from_numpy(samples).mean(1), rate)


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
