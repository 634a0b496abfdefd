"""Which model a message comes from: one hash for its embedding table, one for its tokenizer."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


# What messages do not carry.
KEPT_HERE = ("weights", "origin")


@dataclass(frozen=True)
class ModelFingerprint:
    """What decides whether two models can exchange vectors.

    Attributes:
        model: the name under which the model was requested; for people, not compared by `same_table`.
        table: SHA-256 of the input embedding table [V, D], rounded to bfloat16, so that the same weights loaded as
            float32 and as bfloat16 agree.
        tokenizer: SHA-256 of the vocabulary (token, id).
        vocabulary: V, rows of the table.
        width: D.
        weights: SHA-256 of the weight files and the config of a model that was loaded here; "" if unknown. Messages do not carry
            it: their receivers need only the table and the tokenizer.
        origin: the base and the recipe of a model that transforms made; "" for any other. Messages do not carry it.

    For a model behind an API neither hash is known: both are empty, and an empty hash equals nothing.
    """

    model: str
    table: str
    tokenizer: str
    vocabulary: int
    width: int
    weights: str = field(default="", compare=False)
    origin: str = field(default="", compare=False)

    def sender(self) -> dict[str, str | int]:
        """Return what a message says of its sender's model, as JSON values."""
        return {key: value for key, value in vars(self).items() if key not in KEPT_HERE}

    def record(self) -> dict[str, str | int]:
        """Return what a run's record says of a model, as JSON values."""
        return self.sender() | {key: value for key in KEPT_HERE if (value := getattr(self, key))}

    def is_again(self, other: "ModelFingerprint") -> bool:
        """Whether two sessions loaded one model, as far as both know what they loaded."""
        return self == other and (not self.weights or not other.weights or self.weights == other.weights)

    def same_table(self, other: "ModelFingerprint") -> bool:
        """Whether vectors of one are vectors of the other."""
        return bool(self.table) and self.table == other.table and self.same_tokenizer(other)

    def same_tokenizer(self, other: "ModelFingerprint") -> bool:
        """Whether a belief of one can be rendered on the other's table (CIPHER, section 3: cross-model rule)."""
        return bool(self.tokenizer) and self.tokenizer == other.tokenizer

    def __str__(self) -> str:
        if not self.tokenizer:
            return f"{self.model} (table and tokenizer unknown)"
        return (
            f"{self.model} (table {self.table[:8]}, tokenizer {self.tokenizer[:8]}, {self.vocabulary} x {self.width})"
        )


def remote_fingerprint(model: str, host: str) -> ModelFingerprint:
    """Return the fingerprint of a model behind an API, of which only the names of model and server are known."""
    return ModelFingerprint(f"{model} at {host}", table="", tokenizer="", vocabulary=0, width=0)


def fingerprint(
    model: str, table: "torch.Tensor", tokenizer: Any, *, weights: str = "", origin: str = ""
) -> ModelFingerprint:
    """Return the fingerprint of a table [V, D], of a tokenizer that has `get_vocab()`, and of all weights, as a hash.

    `origin` says of a transformed model what it was made of.
    """
    import torch

    rows, width = table.shape
    raw = table.detach().to("cpu", torch.bfloat16).contiguous().view(torch.uint8).numpy()
    return ModelFingerprint(
        model=model,
        table=hashlib.sha256(raw.data).hexdigest(),
        tokenizer=tokenizer_hash(tokenizer),
        vocabulary=rows,
        width=width,
        weights=weights,
        origin=origin,
    )


def tokenizer_hash(tokenizer: Any) -> str:
    """Return the SHA-256 of the vocabulary of a tokenizer that has `get_vocab()`."""
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])).encode()
    return hashlib.sha256(vocabulary).hexdigest()
