"""The published tables: `normalized_embeddings_weights.pt` of huggingface.co/Bochkov/bvv241-max and its kin.

They are [V, d], of rows of length 1. In those of 65,536 rows and more a character's row has the number of its Unicode code
point (below the surrogates), so that the rows of single characters are found without their tokenizer. n-grams are not read, and
the published language models, which come with code of their own, neither.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from agents.models.checkpoint import official
from agents.models.glyphs.table import CHARACTERS, as_table

PUBLISHED = "normalized_embeddings_weights.pt"
LENGTH_WITHIN = 0.01
"""Of 1: tables of half precision are published too."""


def published_table(path: Path, width: int | None = None, characters: Sequence[str] = CHARACTERS) -> Tensor:
    """Return rows of length 1 [4 + C, width] float32 of a published table, in the order of `glyph_table`'s.

    Args:
        path: of the file.
        width: fewer than it has are its rows' first principal components; its own by default.
        characters: whose rows are taken; each must be one code point.

    Raises:
        ModelError: no such table, or one of the characters has no row of length 1 in it.
        ConfigError: there are fewer characters than `width` + 1.
    """
    with official(path, "table of glyphs") as stored:
        if not isinstance(stored, Tensor) or stored.dim() != 2 or not stored.is_floating_point():
            raise ValueError("it holds no table [V, d] of numbers")
        missing = [name for name in characters if ord(name) >= len(stored)]
        if missing:
            raise ValueError(
                f"it has {len(stored)} rows, none of them number {ord(missing[0])}, that of {missing[0]!r}"
            )
        rows = stored[[ord(name) for name in characters]].double()
        lengths = rows.norm(dim=-1)
        # White space shows nothing; where its row is 0 it gets one of its own, as in the drawn table.
        drawn = lengths != 0
        for name, length in zip(characters, lengths.tolist(), strict=True):
            if length != 0 and not abs(length - 1) <= LENGTH_WITHIN:
                raise ValueError(f"the row of {name!r} has length {length:.3f}, not 1")
    return as_table(rows[drawn], drawn, width if width is not None else rows.shape[1], characters)


def find_published(data: Path | None) -> Path | None:
    """Return the published table of a folder, or of a folder in it."""
    if data is None:
        return None
    return next(iter(sorted((*data.glob(PUBLISHED), *data.glob(f"*/{PUBLISHED}")))), None)
