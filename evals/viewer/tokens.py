"""What the token ids of a message spell, and the table's rows of its nearest tokens, where the model lies here.

A model is looked for by name and believed only if its tokenizer, and for distances its table, has the hash that the message
holds: other weights under the same name would give other words.
"""

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.byte_tokens import ByteTokenizer
from agents.errors import DebateError
from agents.fingerprint import ModelFingerprint, tokenizer_hash
from debate.config.schema import DebateConfig
from debate.preview.engines import LOCAL, known_engine, model_folder
from evals.viewer.table_file import Table, table_with_hash

# Rows times width of a table that is read whole to be hashed: 64 million numbers are SmolLM2's twice.
MOST_NUMBERS = 64_000_000


class TokenNames:
    """Token id → text, of the models of one config."""

    def __init__(self, config: DebateConfig) -> None:
        self._config = config
        # Two requests are not to read one tokenizer at once.
        self._finding = threading.Lock()
        self._tokenizer = lru_cache(maxsize=8)(self._find)
        self._table = lru_cache(maxsize=2)(self._find_table)
        self._named = lru_cache(maxsize=200_000)(self._name)

    def names(self, model: ModelFingerprint, ids: list[int]) -> list[str] | None:
        """Return what some tokens spell; None where the tokenizer is not on this machine, or is another than it was."""
        if self._tokenizer(model) is None:
            return None
        return [self._named(model, token) for token in ids]

    def tokenizer(self, model: ModelFingerprint) -> Any | None:
        """Return the tokenizer of a model, or None likewise."""
        return self._tokenizer(model)

    def rows(self, model: ModelFingerprint, ids: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return rows [T, D] of a model's table; None where it is not on this machine, or is another."""
        table = self._table(model)
        return None if table is None else table.rows(ids)

    def _name(self, model: ModelFingerprint, token: int) -> str:
        tokenizer = self._tokenizer(model)
        assert tokenizer is not None
        return str(tokenizer.decode([token]))

    def _find(self, model: ModelFingerprint) -> Any | None:
        with self._finding:
            return self._look_for(model)

    def _look_for(self, model: ModelFingerprint) -> Any | None:
        if not model.tokenizer:
            return None
        for own in (_file_tokenizer(model.model), ByteTokenizer()):
            if own is not None and tokenizer_hash(own) == model.tokenizer:
                return own
        for backend in dict.fromkeys([self._config.backend, *(a.backend or "" for a in self._config.agents.values())]):
            if backend not in LOCAL:
                continue
            try:
                found = known_engine(self._config, backend, model.model, {}).tokenizer
            except (DebateError, OSError, ValueError):
                continue
            if found is not None and tokenizer_hash(found) == model.tokenizer:
                return found
        return None

    def _find_table(self, model: ModelFingerprint) -> Table | None:
        if not model.table or model.vocabulary * model.width > MOST_NUMBERS:
            return None
        try:
            folder = model_folder(model.model)
        except (DebateError, OSError):
            return None
        return None if folder is None else table_with_hash(folder, model.table)


class FileTokenizer:
    """The tokenizer of a `tokenizer.json`, without transformers, which takes seconds to import.

    Attributes:
        chat_template: whether its model has one; not the template.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._core = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = folder / "tokenizer_config.json"
        says = config.is_file() and '"chat_template"' in config.read_text(encoding="utf-8")
        self.chat_template = bool(says or (folder / "chat_template.jinja").is_file())

    def get_vocab(self) -> dict[str, int]:
        """Return token → id, added tokens among them."""
        vocabulary: dict[str, int] = self._core.get_vocab(with_added_tokens=True)
        return vocabulary

    def decode(self, ids: list[int]) -> str:
        """Return the text of tokens, special ones by their names."""
        return str(self._core.decode(ids, skip_special_tokens=False))


def _file_tokenizer(model: str) -> FileTokenizer | None:
    try:
        folder = model_folder(model)
        return FileTokenizer(folder) if folder is not None and (folder / "tokenizer.json").is_file() else None
    except Exception:  # the library raises its own kind for a damaged file
        return None
