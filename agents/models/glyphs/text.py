"""The text that models of characters learn and are asked about: tinyshakespeare (github karpathy/char-rnn)."""

from pathlib import Path

from agents.errors import ModelError
from agents.zip_files import read_unzipped

HELD_OUT = 0.05
"""Share of the text, at its end, that no model learns."""


def read_text(data: Path | None) -> str:
    """Return tinyshakespeare's text, of a folder or its subfolder `tinyshakespeare`.

    Raises:
        ModelError: it is not there, is damaged, or too large.
    """
    for base in () if data is None else (data, data / "tinyshakespeare"):
        for path in sorted(base.glob("input.txt*")):
            return read_unzipped(path)
    raise ModelError("the text is not there: give --data with tinyshakespeare's input.txt (.gz too)")
