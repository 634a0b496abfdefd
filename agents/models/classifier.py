"""What agents that recognise a class have in common: a model of a folder or of a published file, scores to a belief."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import BeliefError, ModelError, UnknownName
from agents.models.checkpoint import CONFIG, is_ours, load_model, located, save_model
from agents.question import Question

SCORES: dict[str, Callable[[Tensor], Tensor]] = {"softmax": lambda x: torch.softmax(x, 0), "sigmoid": torch.sigmoid}
"""Scores [K] → weights [K], to which the belief is proportional."""


class ClassifierConfig(Protocol):
    """What a classifier's config says."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Its classes."""

    @property
    def sizes(self) -> Mapping[str, object]:
        """Its fields as JSON values."""


class Classifier(BeliefBackend):
    """A belief over the classes of a model; a subclass says what it looks at and what one observation's scores are.

    Args:
        model: in eval mode; `model.config` is a `ClassifierConfig`.
        temperature: the scores are divided by it; fitted on a validation split it is calibrated.
        scores: `softmax`, or `sigmoid`: each class's own probability, as of models that learnt each class by itself (binary
            cross-entropy, several classes true at once); the belief, of which one class is right, is proportional to it.
    """

    what: ClassVar[str]
    """What the model is called, for errors."""
    suffixes: ClassVar[tuple[str, ...]]
    """Of published files; none where no published file is read."""
    published_options: ClassVar[tuple[str, ...]] = ()
    """Options that only a published file needs."""

    def __init__(self, model: Any, *, temperature: float = 1.0, scores: str = "softmax") -> None:
        if not (temperature > 0 and math.isfinite(temperature)):
            raise BeliefError(f"temperature must be finite and above 0; got {temperature}")
        if scores not in SCORES:
            raise UnknownName("kind of scores", scores, SCORES)
        self.model, self.temperature, self.kind = model.eval(), temperature, scores

    @classmethod
    @abstractmethod
    def made(cls, sizes: dict[str, Any]) -> nn.Module:
        """Return a model of the sizes that a folder holds."""

    @classmethod
    def published(cls, path: Path, labels: Sequence[str] | str | None, **options: Any) -> Any:
        """Return the model of a published file; what it does not say of itself is in `options`.

        Raises:
            ModelError: published files of this kind are not read.
        """
        raise ModelError(f"{path}: {cls.what.lower()} reads folders that `debate train` made, and no published file")

    @classmethod
    def from_pretrained(
        cls, checkpoint: str | None = None, *, labels: Sequence[str] | str | None = None, **options: Any
    ) -> Self:
        """Return the backend of a folder, or of a published file, whose classes `labels` names.

        Raises:
            ModelError: no such model there, or a file of a folder of ours, whose sizes and options it does not hold.
        """
        name, files = cls.what.lower(), " and ".join(cls.suffixes) or "published"
        if checkpoint is None:
            file = f", or FILE{cls.suffixes[0]}" if cls.suffixes else ""
            raise ModelError(f"{name} ships no weights: give checkpoint: FOLDER, made by `debate train`{file}")
        path = located(checkpoint)
        if path.suffix in cls.suffixes:
            if is_ours(path.parent):
                raise ModelError(
                    f"{path} is no official {cls.what}: beside it lies the {CONFIG} of a model that `debate train` made. "
                    f"Give the folder: checkpoint: {path.parent}"
                )
            asked = {key: options.pop(key) for key in cls.published_options if key in options}
            return cls(cls.published(path, labels, **asked), **options)
        if labels is not None:
            raise ModelError(f"labels are for official {files} files; a folder has its own")
        if own := sorted(options.keys() & set(cls.published_options)):
            raise ModelError(f"{own[0]} is for official {files} files; a folder has its own")
        model, stored = load_model(path, cls.what, cls.made, options_of=cls)
        return cls(model, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        save_model(folder, self.model, self.config.sizes, **self.stored)

    @property
    def config(self) -> Any:
        """The model's: a `ClassifierConfig`."""
        return self.model.config

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
        found: tuple[str, ...] = self.config.labels
        return found

    def weights(self, scores: Tensor) -> list[float]:
        """Return what a belief over classes is proportional to, of their scores [K]."""
        found: list[float] = SCORES[self.kind](scores.double() / self.temperature).tolist()
        return found

    def _belief(self, scores: Tensor) -> Belief:
        return Belief.of(self.config.labels, self.weights(scores))
