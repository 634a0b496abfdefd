"""Sound files, and sounds at another rate. A WAV of 16 bits is read without a library, everything else with the extra `sound`.

What is read may come from anybody: a few kilobytes of FLAC may unpack to any size, and say of themselves any other.
"""

import io
import struct
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
LOUDEST = 8.0
"""Largest sample; full volume is 1, and what is louder by more than 18 decibels was not scaled."""
MARKED = "`ffmpeg -i IN -c copy OUT.ogg` marks it"
_BLOCK = 1 << 16
_UNKNOWN = 0x7FFF0000
"""A WAV that was written into a pipe gives its size as this or more: its writer did not know it."""


class NotWav(ObservationError):
    """A file that is no WAV of one channel of 16 bits; it may be another sound."""


def read_wav(blob: bytes, *, source: str) -> Audio:
    """Return the sound in a WAV file of one channel of 16-bit samples, between -1 and 1.

    Raises:
        NotWav: anything else that is whole.
        ObservationError: a sound that lacks a part that it says it has, or has more samples or hours than are read; the text
            names the source.
    """
    if lacks := missing_samples(blob):
        raise ObservationError(f"{source}: {lacks}; take the whole file")
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
        ObservationError: the file is not a sound, lacks samples that it says it has, has samples that are no share of full
            volume, or too many of them; the text names the source.
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
                return _unpacked(file, source, is_riff=blob.startswith(b"RIFF"))
        except (
            RuntimeError,
            ValueError,
            TypeError,
        ) as error:  # the library's own, and what it makes of impossible heads
            raise ObservationError(f"{source}: not a sound file that can be read (WAV, FLAC, OGG, MP3)") from error


def _unpacked(file: Any, source: str, *, is_riff: bool) -> Audio:
    """Return the sound in a file of the library, read block by block: what its head says of its length is not relied on."""
    mixed: list[Tensor] = []
    length, loudest = 0, 0.0
    while True:
        block = file.read(_BLOCK, dtype="float32", always_2d=True)
        length += len(block)
        _check_length(length, file.channels, file.samplerate, source)
        mixed.append(torch.from_numpy(block).mean(1))
        loudest = max(loudest, float(abs(block).max(initial=0)))
        if len(block) < _BLOCK:
            break
    # The library reads what is there of a file that was cut off, and notes beside it what its head says; of a WAV, also where
    # its writer did not know.
    if length < 0.99 * file.frames or (not is_riff and "should be" in file.extra_info):
        raise ObservationError(f"{source}: its head says that it is longer than the file is; take the whole file")
    if loudest > LOUDEST:
        raise ObservationError(
            f"{source}: a sound's samples lie between -1 and 1; here one is {loudest:.6g}. Divide by the largest number of their "
            "type"
        )
    return Audio(torch.cat(mixed), file.samplerate)


def missing_samples(blob: bytes) -> str:
    """Return what a WAV or OGG file lacks of the sound that it says it has; nothing where it is whole, or is neither."""
    if blob[:4] == b"OggS":
        last = blob[blob.rfind(b"OggS") :]
        # A page: 27 bytes, of which the sixth says whether it is the last, then the lengths of its parts.
        is_whole = len(last) > 26 and len(last) >= 27 + last[26] + sum(last[27 : 27 + last[26]])
        if not is_whole:
            return "it ends before its last page"
        # Recorders of Android and others leave the mark out, and where it is missing nobody can tell what else is.
        return "" if last[5] & 4 else f"its last page is not marked as the last ({MARKED}, if it is whole)"
    if blob[:4] != b"RIFF" or blob[8:12] != b"WAVE":
        return ""
    (whole,) = struct.unpack("<I", blob[4:8])
    place = 12
    while place + 8 <= len(blob):
        kind, (size,) = blob[place : place + 4], struct.unpack("<I", blob[place + 4 : place + 8])
        place += 8
        if kind == b"data" and size < _UNKNOWN:
            there = len(blob) - place
            if size > there:
                return f"its head says that {size:,} bytes of sound follow, and {there:,} do"
            if not size and there:
                return f"its head says that no sound follows, and {there:,} bytes do"
            if whole < _UNKNOWN and place + size > whole + 8:
                return f"its sound of {size:,} bytes does not fit into the {whole:,} that it says it has"
        place += size + size % 2
    return ""


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
