"""An agent that hears: a belief over classes of sound, also of what was heard so far."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.errors import BeliefError
from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.features import spectrogram
from agents.models.lmuformer.network import network
from agents.models.lmuformer.official import from_official
from agents.models.lmuformer.stream import State, Streamed
from agents.models.sounds.backend import SoundBackend
from agents.observation import Audio


class LMUFormerBackend(SoundBackend):
    """A belief over the model's labels.

    Args:
        model, temperature, scores: as of SoundBackend.
        heard: share of the frames after which the belief is formed; an agent that answers early.
    """

    model: Streamed
    what, suffix, longest_s = "LMUFormer", ".pth", 30.0

    def __init__(
        self, model: Streamed, *, heard: float = 1.0, temperature: float = 1.0, scores: str = "softmax"
    ) -> None:
        if not 0 < heard <= 1:
            raise BeliefError(f"heard is a share above 0 and at most 1; got {heard}")
        super().__init__(model, temperature=temperature, scores=scores)
        self.heard = heard

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> Streamed:
        """Return a model of the sizes that a folder holds."""
        return network(LMUFormerConfig(**sizes))

    @classmethod
    def published(cls, path: Path, labels: Sequence[str] | str | None, **options: Any) -> Streamed:
        """Return the model of an official file."""
        return from_official(path, labels)

    @property
    def stored(self) -> dict[str, object]:
        """The options that lie beside the weights, as JSON values."""
        return {"heard": self.heard, **super().stored}

    def frames(self, audio: Audio) -> Tensor:
        """Return the spectrogram [T, M] that the model hears."""
        return spectrogram(self.at_its_rate(audio).samples, self.model.config)

    @torch.inference_mode()
    def stream(self, audio: Audio) -> list[Belief]:
        """Return the belief after every frame, heard one by one; the last is the belief about all of it.

        Raises:
            BeliefError: the model looks ahead.
        """
        state = State()
        return [self._belief(self.model.step(frame[None], state)[0]) for frame in self.frames(audio)]

    def class_scores(self, audio: Audio) -> Tensor:
        """Return the mean score [K] of the frames of one sound that are heard."""
        scores: Tensor = self.model(self.frames(audio)[None])[0]
        return scores[: max(1, round(self.heard * len(scores)))].mean(0)
