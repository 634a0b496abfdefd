"""What agents that see have in common: pictures of any size, scores to a belief over all classes or over those asked about."""

import logging
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.picture_files import WIDEST
from agents.errors import RequestError
from agents.models.classifier import Classifier
from agents.models.vision.pixels import prepared
from agents.observation import Image, Observation
from agents.question import Question

logger = logging.getLogger("agents.models.vision")

LARGEST_SIDE = 4096
FILES = (".safetensors", ".pth", ".pt", ".tar")


class PictureBackend(Classifier):
    """A belief over the classes of a model of pictures.

    Where a question's options are classes of the model, the belief is over them alone: what the picture shows, given that it
    is one of these. Its labels are then the question's. Case and white space are not looked at, where a name is that of one class
    alone all the same. Where some options are classes and others not, the belief is over all classes, which is logged once.

    Args:
        model: in eval mode: [B, 3, S, S] → scores [B, K]; `model.config` is a `PictureConfig`.
        temperature, scores: as of Classifier.
    """

    modality = "image"
    suffixes: ClassVar[tuple[str, ...]] = FILES
    _is_noticed = False

    @property
    def classes(self) -> tuple[str, ...]:
        """What scores are of, in their order: the model's labels."""
        found: tuple[str, ...] = self.config.labels
        return found

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the question's, where its options are classes of the model; else the model's."""
        return self._asked(case)[0]

    def check(self, observation: Observation) -> None:
        """Refuse what is too large, or a strip."""
        check_picture(self.name, observation)

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
            found.append(Belief.of(labels, self.weights(self.case_scores(case, image)[places])))
        return found

    def case_scores(self, case: Question, image: Image) -> Tensor:
        """Return the scores [K] of what a question asks about a picture: of the whole, whatever it asks."""
        return self.class_scores(image)

    def _asked(self, case: Question) -> tuple[tuple[str, ...], list[int]]:
        """Return the labels of a belief about a case, and which classes they are."""
        known = self.classes
        labels, texts = case.alternatives
        exact, alike = self._places
        if texts and all(text in exact for text in texts):
            return labels, [exact[text] for text in texts]
        found = [exact.get(text, alike.get(plain(text))) for text in texts]
        places = [place for place in found if place is not None]
        # Two options that are one class cannot be told apart.
        if texts and len(set(places)) == len(texts):
            return labels, places
        if places:
            self._notice(case, texts, found)
        return known, list(range(len(known)))

    @cached_property
    def _places(self) -> tuple[dict[str, int], dict[str, int]]:
        """Which class a name is; and a name in another case or with other white space, where it is that of one class alone."""
        known = self.classes
        plainly = [plain(name) for name in known]
        count = Counter(plainly)
        return (
            {name: place for place, name in enumerate(known)},
            {name: place for place, name in enumerate(plainly) if count[name] == 1},
        )

    def _notice(self, case: Question, texts: Sequence[str], found: Sequence[int | None]) -> None:
        """Say once that options which are classes in part are not what a belief is over."""
        if self._is_noticed:
            return
        self._is_noticed = True
        stray = next((text for text, place in zip(texts, found, strict=True) if place is None), None)
        reason = "two options are one class" if stray is None else f"the option {stray!r} is none of its classes"
        logger.warning(
            "%s: question %s: %s, so that its belief is over all %d classes and not over the options. Of further questions "
            "this is not said again.",
            self.name,
            case.id,
            reason,
            len(self.classes),
        )


def check_picture(name: str, observation: Observation) -> None:
    """Refuse, in a backend's name, a picture that is too large, or a strip.

    Raises:
        RequestError: it is.
    """
    assert isinstance(observation, Image)
    height, width = observation.pixels.shape[1:]
    if max(height, width) > LARGEST_SIDE:
        raise RequestError(
            f"{name} takes pictures of at most {LARGEST_SIDE} pixels a side; this has {width} x {height}: scale it down"
        )
    if max(height, width) > WIDEST * min(height, width):
        raise RequestError(
            f"{name} takes pictures of which one side is at most {WIDEST} times the other; this has {width} x {height}"
        )


def plain(name: str) -> str:
    """Return a name in lower case, with single spaces between its words."""
    return " ".join(name.casefold().split())
