"""One message as JSON values: a CIPHER message position by position, with what each vector was made of; of a text its words.

T positions, K beliefs kept per position.
"""

from typing import Any

import torch

from agents.message import Message
from debate.run_folder.contents import MESSAGES
from debate.run_folder.journal import Record
from debate.run_folder.message_store import MessageStore
from debate.run_folder.turn_record import read_turn
from evals.viewer.index import RunIndex
from evals.viewer.tokens import TokenNames

# Of a probability, an entropy, a norm: decimals that are kept.
DIGITS = 4
ALTERNATIVES = 10


class Messages:
    """The messages of a run."""

    def __init__(self, index: RunIndex) -> None:
        self._store = MessageStore(index.path / MESSAGES)
        self._index = index
        self._names: dict[str, TokenNames] = {}

    def read(self, record: Record) -> Message:
        """Return the message of a turn's record.

        Raises:
            MessageError: its file is missing or damaged.
        """
        return read_turn(record, self._store).message

    def of(self, method: str, message: Message, alternatives: int = ALTERNATIVES) -> dict[str, Any]:
        """Return a message of a method as JSON values."""
        found: dict[str, Any] = {
            "model": message.model.model,
            "encoder": message.encoder,
            "width": message.model.width,
            "thinking": message.thinking_tokens,
        }
        if message.cipher is None:
            return found
        return {**found, **_positions(message, self.names(method), alternatives)}

    def names(self, method: str) -> TokenNames:
        """Return what tokens spell in a method."""
        return self._names.setdefault(method, TokenNames(self._index.method_config(method)))


def _positions(message: Message, names: TokenNames, alternatives: int) -> dict[str, Any]:
    """Return columns over the positions, and the strings that their numbers stand for."""
    cipher = message.cipher
    assert cipher is not None
    nearest = cipher.nearest.tolist()
    most = min(alternatives, cipher.top_ids.shape[1])
    tops, weights = cipher.top_ids[:, :most].tolist(), cipher.top_probabilities[:, :most].tolist()
    ids = sorted({*nearest, *(token for row in tops for token in row)})
    place = {token: number for number, token in enumerate(ids)}
    spelled = names.names(message.model, ids)
    vectors = cipher.vectors.float()
    has_vectors = vectors.shape[1] > 0
    rows = names.rows(message.model, cipher.nearest) if has_vectors and len(nearest) else None
    return {
        "ids": ids,
        "strings": spelled,
        "nearest": [place[token] for token in nearest],
        "entropy": _rounded(cipher.entropy),
        "most": _rounded(cipher.max_probability),
        "norm": _rounded(vectors.norm(dim=1)) if has_vectors else None,
        "distance": None if rows is None else _rounded(1 - torch.cosine_similarity(vectors, rows, dim=1)),
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


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(float(value), DIGITS) + 0.0 for value in values]
