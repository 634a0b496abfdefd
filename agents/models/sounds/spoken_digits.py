"""The Free Spoken Digit Dataset (github Jakobovski/free-spoken-digit-dataset), which the recipes of models that hear train on."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from agents.beliefs.sound_files import read_wav
from agents.errors import ModelError
from agents.observation import Audio
from agents.zip_files import open_zip

# Bytes of a clip: a minute of a CD.
LARGEST_CLIP = 10_000_000
_NAME = re.compile(r"[0-9]_[^_]+_[0-9]+")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Clip:
    """A spoken digit and which one it is; `name` is <digit>_<speaker>_<take>."""

    name: str
    audio: Audio

    @property
    def digit(self) -> int:
        """0 to 9."""
        return int(self.name.partition("_")[0])

    @property
    def speaker(self) -> str:
        """Whose voice it is."""
        return self.name.split("_")[1]


def read_digits(data: Path | None, split: str, *, rate_hz: int | None = None) -> list[Clip]:
    """Return the clips of a split, by name, of a folder with train.zip and test.zip, or with such a folder `fsdd`.

    Args:
        data: the folder.
        split: `train` or `test`.
        rate_hz: of every clip, for a recipe whose model takes one; None for any.

    Raises:
        ModelError: it is not there, is damaged, too large, or holds something else, two clips of one name, or another rate.
        ObservationError: a file that is no sound.
    """
    tried = [] if data is None else [data / f"{split}.zip", data / "fsdd" / f"{split}.zip"]
    path = next((each for each in tried if each.is_file()), None)
    if path is None:
        raise ModelError(
            f"the spoken digits are not there: give --data with {split}.zip of WAV files <digit>_<speaker>_<take>.wav "
            "(github Jakobovski/free-spoken-digit-dataset; takes 0 to 4 are its test set)"
        )
    with open_zip(path) as archive:
        names = archive.names([".wav"])
        if stray := next((name for name in names if not _NAME.fullmatch(Path(name).stem)), None):
            raise ModelError(f"{path}:{stray}: a clip is called <digit>_<speaker>_<take>.wav")
        if not names:
            raise ModelError(f"{path}: no .wav in it")
        if twice := [name for name, count in Counter(Path(each).stem for each in names).items() if count > 1]:
            raise ModelError(f"{path}: two clips are called {twice[0]}.wav; keep one, or give one of them another take")
        found = [
            Clip(Path(name).stem, read_wav(archive.read(name, most=LARGEST_CLIP), source=f"{path}:{name}"))
            for name in names
        ]
    if other := next((clip for clip in found if rate_hz not in (None, clip.audio.rate_hz)), None):
        raise ModelError(
            f"{path}: clips of {rate_hz} Hz are learned from, and {other.name}.wav has {other.audio.rate_hz}: resample it"
        )
    return found
