"""One message as JSON values: a CIPHER message position by position, with what each vector was made of; of a text its words.

T positions, K beliefs kept per position.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.errors import MessageError
from agents.fingerprint import ModelFingerprint
from agents.message_arrays import CipherArrays, read_arrays
from agents.message_file import read_message_bytes
from debate.run_folder.contents import MESSAGES
from debate.run_folder.journal import Record
from debate.run_folder.message_store import MessageStore
from debate.run_folder.turn_record import read_turn
from evals.viewer.index import RunIndex
from evals.viewer.tokens import TokenNames

# Of a probability, an entropy, a norm: decimals that are kept.
DIGITS = 4
ALTERNATIVES = 10


@dataclass(frozen=True)
class Shown:
    """What is looked at of a message.

    Attributes:
        model: that said it.
        encoder: None of a text.
        thinking: leading positions that belong to the thinking.
        cipher: the numbers of a CIPHER message; None of a text.
    """

    model: ModelFingerprint
    encoder: str | None
    thinking: int
    cipher: CipherArrays | None = None


class Messages:
    """The messages of a run."""

    def __init__(self, index: RunIndex) -> None:
        self._store = MessageStore(index.path / MESSAGES)
        self._index = index
        self._names: dict[str, TokenNames] = {}

    def read(self, record: Record) -> Shown:
        """Return the message of a turn's record.

        Raises:
            MessageError: its file is missing or damaged, or is another message's.
            RunError: a record that no run writes.
        """
        if record["encoder"] is None:
            message = read_turn(record, self._store).message
            return Shown(message.model, None, message.thinking_tokens)
        digest = str(record["digest"])
        file = self._store.file(digest)
        header, arrays = read_arrays(read_message_bytes(file, follow=False), source=str(file))
        if header.digest != digest:
            raise MessageError(f"{file}: it holds another message, {header.digest[:12]}: the file was exchanged")
        return Shown(header.model, header.encoder, header.thinking_tokens, arrays)

    def of(self, method: str, message: Shown, alternatives: int = ALTERNATIVES) -> dict[str, Any]:
        """Return a message of a method as JSON values."""
        found: dict[str, Any] = {
            "model": message.model.model,
            "encoder": message.encoder,
            "width": message.model.width,
            "thinking": message.thinking,
        }
        if message.cipher is None:
            return found
        return {**found, **_positions(message.model, message.cipher, self.names(method), alternatives)}

    def names(self, method: str) -> TokenNames:
        """Return what tokens spell in a method."""
        return self._names.setdefault(method, TokenNames(self._index.method_config(method)))


def _positions(model: ModelFingerprint, cipher: CipherArrays, names: TokenNames, alternatives: int) -> dict[str, Any]:
    """Return columns over the positions, and the strings that their numbers stand for."""
    nearest = cipher.nearest.tolist()
    most = min(alternatives, cipher.top_ids.shape[1])
    tops, weights = cipher.top_ids[:, :most].tolist(), cipher.top_probabilities[:, :most].tolist()
    ids = sorted({*nearest, *(token for row in tops for token in row)})
    place = {token: number for number, token in enumerate(ids)}
    vectors = cipher.vectors.astype(np.float64)
    has_vectors = vectors.shape[1] > 0
    rows = names.rows(model, cipher.nearest) if has_vectors and len(nearest) else None
    return {
        "ids": ids,
        "strings": names.names(model, ids),
        "nearest": [place[token] for token in nearest],
        "entropy": _rounded(cipher.entropy),
        "most": _rounded(cipher.max_probability),
        "norm": _rounded(np.linalg.norm(vectors, axis=1)) if has_vectors else None,
        "distance": None if rows is None else _rounded(_cosine_distance(vectors, rows.astype(np.float64))),
        "top": [
            [
                [place[token], kept]
                for token, weight in zip(row, shares, strict=True)
                if (kept := round(weight, DIGITS)) > 0
            ]
            for row, shares in zip(tops, weights, strict=True)
        ],
        "kept": cipher.top_ids.shape[1],
    }


def _cosine_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 − cosine row by row; 1 where a row has no length."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    distance: NDArray[np.float64] = 1 - (one * other).sum(axis=1) / np.maximum(lengths, 1e-30)
    return distance


def _rounded(values: NDArray[Any]) -> list[float]:
    return [round(float(value), DIGITS) + 0.0 for value in values]
