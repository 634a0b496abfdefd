"""What agents that see have in common: pictures of any size, scores to a belief over all classes or over those asked about."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.picture_files import WIDEST
from agents.errors import RequestError
from agents.models.classifier import Classifier
from agents.models.vision.pixels import prepared
from agents.observation import Image, Observation
from agents.question import Question

LARGEST_SIDE = 4096
FILES = (".safetensors", ".pth", ".pt", ".tar")


class PictureBackend(Classifier):
    """A belief over the classes of a model of pictures.

    Where a question's options are classes of the model, the belief is over them alone: what the picture shows, given that it
    is one of these. Its labels are then the question's.

    Args:
        model: in eval mode: [B, 3, S, S] → scores [B, K]; `model.config` is a `PictureConfig`.
        temperature, scores: as of Classifier.
    """

    modality = "image"
    suffixes = FILES

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the question's, where its options are classes of the model; else the model's."""
        return self._asked(case)[0]

    def check(self, observation: Observation) -> None:
        """Refuse what is too large, or a strip."""
        assert isinstance(observation, Image)
        height, width = observation.pixels.shape[1:]
        if max(height, width) > LARGEST_SIDE:
            raise RequestError(
                f"{self.name} takes pictures of at most {LARGEST_SIDE} pixels a side; this has {width} x {height}: scale it down"
            )
        if max(height, width) > WIDEST * min(height, width):
            raise RequestError(
                f"{self.name} takes pictures of which one side is at most {WIDEST} times the other; this has {width} x {height}"
            )

    def class_scores(self, image: Image) -> Tensor:
        """Return the scores [K] of one picture."""
        found: Tensor = self.model(prepared(image.pixels, self.config)[None])[0]
        return found

    @torch.inference_mode()
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        # One picture at a time, so that a sum's order does not depend on how many there are.
        found = []
        for case, image in zip(cases, observations, strict=True):
            labels, places = self._asked(case)
            found.append(Belief.of(labels, self.weights(self.class_scores(image)[places])))
        return found

    def _asked(self, case: Question) -> tuple[tuple[str, ...], list[int]]:
        """Return the labels of a belief about a case, and which classes they are."""
        known: tuple[str, ...] = self.config.labels
        labels, texts = case.alternatives
        if texts and set(texts) <= set(known):
            return labels, [known.index(text) for text in texts]
        return known, list(range(len(known)))
