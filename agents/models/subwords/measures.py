"""What a vocabulary does with a text: tokens, and bits a byte under a model that draws its tokens independently."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from agents.models.subwords.likelihood import log_likelihood


class Read(NamedTuple):
    """A text as tokens.

    Attributes:
        counts: how often each token number occurs.
        num_bytes: of the text in UTF-8.
    """

    counts: Counter[int]
    num_bytes: int

    @property
    def bytes_a_token(self) -> float:
        """How long tokens are."""
        return self.num_bytes / self.counts.total()

    @property
    def bits(self) -> float:
        """Bits a byte of this text under the likeliest probabilities, which are of this text."""
        return (
            -log_likelihood({str(token): count for token, count in self.counts.items()}) / math.log(2) / self.num_bytes
        )

    def bits_by(self, learned: "Read", rows: int) -> float:
        """Return bits a byte of this text under probabilities (n + 1) / (N + V) of another, V being the vocabulary's rows."""
        total = learned.counts.total() + rows
        nats = -sum(count * math.log((learned.counts[token] + 1) / total) for token, count in self.counts.items())
        return nats / math.log(2) / self.num_bytes


def read(tokenizer: Any, texts: Sequence[str]) -> Read:
    """Return what a tokenizer makes of texts."""
    rows = tokenizer(list(texts))["input_ids"]
    return Read(Counter(token for row in rows for token in row), sum(len(text.encode()) for text in texts))
