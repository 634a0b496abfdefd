"""An agent that hears: a belief over classes of sound, also of what was heard so far."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import BeliefError, ModelError
from agents.models.checkpoint import load_model, save_model
from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.features import spectrogram
from agents.models.lmuformer.network import network
from agents.models.lmuformer.official import from_official
from agents.models.lmuformer.stream import State, Streamed
from agents.models.sounds import check_sound
from agents.observation import Audio, Observation
from agents.question import Question

LONGEST_S = 30.0


class LMUFormerBackend(BeliefBackend):
    """A belief over the model's labels.

    Args:
        model: in eval mode.
        heard: share of the frames after which the belief is formed; an agent that answers early.
        temperature: of the softmax; fitted on a validation split it is calibrated.
    """

    modality = "audio"

    def __init__(self, model: Streamed, *, heard: float = 1.0, temperature: float = 1.0) -> None:
        if not 0 < heard <= 1:
            raise BeliefError(f"heard is a share above 0 and at most 1; got {heard}")
        if not temperature > 0:
            raise BeliefError(f"temperature must be above 0; got {temperature}")
        self.model, self.heard, self.temperature = model.eval(), heard, temperature

    @classmethod
    def from_pretrained(
        cls, checkpoint: str | None = None, *, labels: Sequence[str] | None = None, **options: Any
    ) -> Self:
        """Return the backend of a folder, or of an official `.pth` file, whose classes `labels` names."""
        if checkpoint is None:
            raise ModelError("lmuformer ships no weights: give checkpoint: FOLDER, made by `debate train`, or FILE.pth")
        path = Path(checkpoint).expanduser()
        if path.suffix == ".pth":
            return cls(from_official(path, labels), **options)
        if labels is not None:
            raise ModelError("labels are for official .pth files; a folder has its own")
        model, stored = load_model(checkpoint, "LMUFormer", lambda sizes: network(LMUFormerConfig(**sizes)))
        return cls(model, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        save_model(folder, self.model, self.model.config.sizes, heard=self.heard, temperature=self.temperature)

    @property
    def name(self) -> str:
        """The backend's name."""
        return "lmuformer"

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the model's."""
        return self.model.config.labels

    def check(self, observation: Observation) -> None:
        """Refuse another rate, and what is too long."""
        check_sound(self.name, observation, rate_hz=self.model.config.rate_hz, longest_s=LONGEST_S)

    def frames(self, audio: Audio) -> Tensor:
        """Return the spectrogram [T, M] that the model hears."""
        return spectrogram(audio.samples, self.model.config)

    @torch.inference_mode()
    def stream(self, audio: Audio) -> list[Belief]:
        """Return the belief after every frame, heard one by one; the last is the belief about all of it.

        Raises:
            BeliefError: the model looks ahead.
        """
        state = State()
        return [self._belief(self.model.step(frame[None], state)[0]) for frame in self.frames(audio)]

    @torch.inference_mode()
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        beliefs = []
        for audio in observations:
            # One sound at a time, so that none is padded to another's length.
            scores = self.model(self.frames(audio)[None])[0]
            beliefs.append(self._belief(scores[: max(1, round(self.heard * len(scores)))].mean(0)))
        return beliefs

    def _belief(self, scores: Tensor) -> Belief:
        return Belief.of(self.model.config.labels, torch.softmax(scores.double() / self.temperature, 0).tolist())
