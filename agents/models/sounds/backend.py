"""What agents that hear have in common: sound of any rate, in the samples of the model."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from agents.beliefs.sequence import Believed
from agents.beliefs.sound_files import resampled
from agents.errors import RequestError
from agents.models.classifier import Classifier, ClassifierConfig
from agents.observation import Audio, Observation
from agents.question import Question


class SoundConfig(ClassifierConfig, Protocol):
    """What a sound model's config says."""

    @property
    def rate_hz(self) -> int:
        """Of the sound that it takes."""


class SoundBackend(Classifier):
    """A belief over the classes of a sound model; a subclass says what one sound's scores are.

    Args:
        model: in eval mode; `model.config` is a `SoundConfig`.
        temperature, scores: as of Classifier.
    """

    modality = "audio"
    longest_s: ClassVar[float]
    """Of a sound."""

    def check(self, observation: Observation) -> None:
        """Refuse what is too long."""
        assert isinstance(observation, Audio)
        if len(observation.samples) > self.longest_s * observation.rate_hz:
            raise RequestError(f"{self.name} takes at most {self.longest_s:g} s of sound; cut it into pieces")

    def at_its_rate(self, audio: Audio) -> Audio:
        """Return a sound at the model's rate."""
        return resampled(audio, self.config.rate_hz)

    @abstractmethod
    def class_scores(self, audio: Audio) -> Tensor:
        """Return the scores [K] of one sound, at the model's rate."""

    @torch.inference_mode()
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> Sequence[Believed]:
        # One sound at a time, so that none is padded to another's length.
        return [self._belief(self.class_scores(self.at_its_rate(audio))) for audio in observations]
