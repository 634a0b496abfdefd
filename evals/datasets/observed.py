"""Columns of a row that name what is looked at: `audio`, a sound file."""

from pathlib import Path

from agents.beliefs.sound_files import read_sound
from agents.errors import ObservationError
from agents.observation import Observation
from agents.ordinary_file import read_ordinary
from evals.datasets.rows import DataRow

AUDIO = "audio"
# Bytes: three hours of a CD.
LARGEST_SOUND = 2_000_000_000


def observations(row: DataRow, folder: Path) -> tuple[Observation, ...]:
    """Return what a row shows besides its question; nothing where it has no such column.

    Args:
        row: its column `audio` is a path, which begins at the folder unless it is whole.
        folder: folder of the row's file.

    Raises:
        TaskError: a file that is not there, or is no sound; with the row's place.
        MissingDependency: a sound that only a library reads.
    """
    if not row.has(AUDIO):
        return ()
    path = folder / Path(row.text(AUDIO)).expanduser()
    try:
        return (read_sound(read_ordinary(path, most=LARGEST_SOUND), source=str(path)),)
    except OSError as error:
        raise row.error(f"cannot read {path}: {error.strerror or error}") from error
    except ObservationError as error:
        raise row.error(str(error)) from error
