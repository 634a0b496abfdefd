"""The text that models of characters learn and are asked about: tinyshakespeare (github karpathy/char-rnn)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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


def divided_text(data: Path | None, tokenizer: Any, *, shares: int = 2) -> tuple[Tensor, Tensor]:
    """Return the token numbers of the text that is learned, and those of its end.

    Args:
        data: folder of tinyshakespeare.
        tokenizer: of characters.
        shares: how many times HELD_OUT the end is.

    Raises:
        ModelError: the text is not there.
    """
    stream = torch.tensor(tokenizer(read_text(data))["input_ids"])
    held = int(shares * HELD_OUT * len(stream))
    return stream[:-held], stream[-held:]
