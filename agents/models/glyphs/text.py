"""The text that models of characters learn and are asked about: tinyshakespeare (github karpathy/char-rnn)."""

import gzip
from pathlib import Path

from agents.errors import ModelError

HELD_OUT = 0.05
"""Share of the text, at its end, that no model learns."""


def read_text(data: Path | None) -> str:
    """Return tinyshakespeare's text, of a folder or its subfolder `tinyshakespeare`.

    Raises:
        ModelError: it is not there.
    """
    for base in () if data is None else (data, data / "tinyshakespeare"):
        for path in sorted(base.glob("input.txt*")):
            raw = path.read_bytes()
            return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    raise ModelError("the text is not there: give --data with tinyshakespeare's input.txt (.gz too)")
