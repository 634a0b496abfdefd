"""Vectors of texts, one text at a time, so that none depends on another's length."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from agents.beliefs.belief_backend import EmbeddingBackend
from agents.errors import RequestError
from agents.observation import Observation, Text


class SentenceEmbedding(EmbeddingBackend):
    """Vectors of texts; a subclass says what one text's is."""

    modality = "text"
    backend: ClassVar[str]
    """Whose it is, for errors."""

    @property
    @abstractmethod
    def width(self) -> int:
        """D, the length of its vectors."""

    @abstractmethod
    def vector(self, text: str) -> Tensor:
        """Return the vector [D] float32 of a text."""

    @torch.inference_mode()
    def embed(self, observations: Sequence[Observation]) -> Tensor:
        """Return the vectors [n, D] of texts."""
        rows = []
        for each in observations:
            if not isinstance(each, Text):
                raise RequestError(f"{self.backend} looks at text; got {each.modality}")
            rows.append(self.vector(each.text))
        return torch.stack(rows) if rows else torch.zeros(0, self.width)
