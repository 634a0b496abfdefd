"""What agents that hear have in common: sound of any rate, a model of a folder or of a published file, scores to a belief."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.beliefs.sound_files import resampled
from agents.errors import BeliefError, ModelError, RequestError, UnknownName
from agents.models.checkpoint import load_model, save_model
from agents.observation import Audio, Observation
from agents.question import Question

SCORES: dict[str, Callable[[Tensor], Tensor]] = {"softmax": lambda x: torch.softmax(x, 0), "sigmoid": torch.sigmoid}
"""Scores [K] → weights [K], to which the belief is proportional."""


class SoundConfig(Protocol):
    """What a sound model's config says."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Its classes."""

    @property
    def rate_hz(self) -> int:
        """Of the sound that it takes."""

    @property
    def sizes(self) -> Mapping[str, object]:
        """Its fields as JSON values."""


class SoundBackend(BeliefBackend):
    """A belief over the classes of a sound model; a subclass says what one sound's scores are.

    Args:
        model: in eval mode; `model.config` is a `SoundConfig`.
        temperature: the scores are divided by it; fitted on a validation split it is calibrated.
        scores: `softmax`, or `sigmoid`: each class's own probability, as of models that learnt each class by itself (binary
            cross-entropy, several classes true at once); the belief, of which one class is right, is proportional to it.
    """

    modality = "audio"
    what: ClassVar[str]
    """What the model is called, for errors."""
    suffix: ClassVar[str]
    """Of a published file."""
    longest_s: ClassVar[float]
    """Of a sound."""
    published_options: ClassVar[tuple[str, ...]] = ()
    """Options that only a published file needs."""

    def __init__(self, model: Any, *, temperature: float = 1.0, scores: str = "softmax") -> None:
        if not temperature > 0:
            raise BeliefError(f"temperature must be above 0; got {temperature}")
        if scores not in SCORES:
            raise UnknownName("kind of scores", scores, SCORES)
        self.model, self.temperature, self.kind = model.eval(), temperature, scores

    @classmethod
    @abstractmethod
    def made(cls, sizes: dict[str, Any]) -> nn.Module:
        """Return a model of the sizes that a folder holds."""

    @classmethod
    @abstractmethod
    def published(cls, path: Path, labels: Sequence[str] | str | None, **options: Any) -> Any:
        """Return the model of a published file; what it does not say of itself is in `options`."""

    @classmethod
    def from_pretrained(
        cls, checkpoint: str | None = None, *, labels: Sequence[str] | str | None = None, **options: Any
    ) -> Self:
        """Return the backend of a folder, or of a published file, whose classes `labels` names (see `labels_of`)."""
        name = cls.what.lower()
        if checkpoint is None:
            raise ModelError(
                f"{name} ships no weights: give checkpoint: FOLDER, made by `debate train`, or FILE{cls.suffix}"
            )
        path = Path(checkpoint).expanduser()
        if path.suffix == cls.suffix:
            asked = {key: options.pop(key) for key in cls.published_options if key in options}
            return cls(cls.published(path, labels, **asked), **options)
        if labels is not None:
            raise ModelError(f"labels are for official {cls.suffix} files; a folder has its own")
        if own := sorted(options.keys() & set(cls.published_options)):
            raise ModelError(f"{own[0]} is for official {cls.suffix} files; a folder has its own")
        model, stored = load_model(path, cls.what, cls.made)
        return cls(model, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        save_model(folder, self.model, self.config.sizes, **self.stored)

    @property
    def config(self) -> SoundConfig:
        """The model's."""
        found: SoundConfig = self.model.config
        return found

    @property
    def stored(self) -> dict[str, object]:
        """The options that lie beside the weights, as JSON values."""
        return {"temperature": self.temperature, "scores": self.kind}

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.what.lower()

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the model's."""
        return self.config.labels

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
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        # One sound at a time, so that none is padded to another's length.
        return [self._belief(self.class_scores(self.at_its_rate(audio))) for audio in observations]

    def _belief(self, scores: Tensor) -> Belief:
        weights = SCORES[self.kind](scores.double() / self.temperature)
        return Belief.of(self.config.labels, weights.tolist())
