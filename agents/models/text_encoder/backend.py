"""An agent that tells the kind of a text."""

from collections.abc import Sequence
from typing import Any

import torch

from agents.beliefs.belief import Belief
from agents.models.classifier import Classifier
from agents.models.stored import made_of
from agents.models.text_encoder.config import TextEncoderConfig
from agents.models.text_encoder.model import TextEncoder
from agents.observation import Observation
from agents.question import Question


class TextEncoderBackend(Classifier):
    """A belief over the model's labels; of a text that is longer than it reads its first words are read.

    Args:
        model, temperature, scores: see `Classifier`.
        attention: over the checkpoint's hashes, in place of its own, e.g. `ecoformer(official_numerator=true)`.
    """

    model: TextEncoder
    modality = "text"
    what = "Text_encoder"
    suffixes = ()

    def __init__(
        self, model: TextEncoder, *, temperature: float = 1.0, scores: str = "softmax", attention: str | None = None
    ) -> None:
        super().__init__(model, temperature=temperature, scores=scores)
        if attention is not None:
            self.model.exchange(attention)

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> TextEncoder:
        """Return a model of the sizes that a folder holds."""
        return TextEncoder(made_of(TextEncoderConfig, sizes))

    def check(self, observation: Observation) -> None:
        """Take any text."""

    @torch.inference_mode()
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        # One text at a time, so that a sum's order does not depend on how many there are.
        return [self._belief(self.model(self.model.encode([text.text]))[0]) for text in observations]
