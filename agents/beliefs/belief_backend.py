"""The interface of models that are not language models: questions in, beliefs over labels or embeddings out.

A belief backend looks at one modality. What it is given is checked here, once for all of them, so that an implementation
gets observations that it can compute with.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.sequence import Believed
from agents.beliefs.verbaliser import TEMPLATE
from agents.errors import BeliefError, RequestError
from agents.observation import Observation
from agents.question import Question


class BeliefBackend(ABC):
    """Holds beliefs over labels. The same case gives the same belief, whatever else is asked with it."""

    modality: ClassVar[str]
    """What it looks at: a key of `MODALITIES`."""
    template: ClassVar[str] = TEMPLATE
    """The words in which its agents say a label."""

    @classmethod
    @abstractmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a checkpoint: a folder that `save_pretrained` wrote, a name that it knows, or its default.

        Raises:
            ModelError: no such checkpoint.
        """

    @abstractmethod
    def save_pretrained(self, folder: Path) -> None:
        """Write config and weights, from which `from_pretrained` makes an equal backend."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What its messages say they are from."""

    def believe(self, cases: Sequence[Question]) -> list[Believed]:
        """Return a belief a case, in order; it abstains, with the reason, where there is nothing to look at.

        A `BeliefSequence` where what is asked for is a sequence of its labels (its card says so), else a `Belief`.

        Raises:
            RequestError: a case without its modality, or of a shape or rate that it does not take.
        """
        seen = [self._look(case) for case in cases]
        asked = [place for place, observation in enumerate(seen) if not observation.is_empty]
        beliefs = [self.nothing(case, f"the {self.modality} is empty") for case in cases]
        if asked:
            found = self._believe([cases[place] for place in asked], [seen[place] for place in asked])
            for place, belief in zip(asked, found, strict=True):
                beliefs[place] = belief
        return beliefs

    def hearing(self, case: Question, said: Sequence[str]) -> Question:
        """Return a case with what it learns from others' words; most leave them to their agent's pool, and return it as it is.

        Args:
            case: what it is asked about.
            said: messages as text, in the order in which they are heard.
        """
        return case

    def nothing(self, case: Question, reason: str) -> Believed:
        """Return no belief about a case, and why."""
        return Belief.abstain(self.labels(case), reason)

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return what its beliefs about a case are over: the case's labels, where it has no classes of its own."""
        return case.labels

    @abstractmethod
    def check(self, observation: Observation) -> None:
        """Raise RequestError where an observation of its modality has a shape, rate or size that it does not take."""

    @abstractmethod
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> Sequence[Believed]:
        """Return a belief a case, of observations that are checked and not empty."""

    def _look(self, case: Question) -> Observation:
        observation = case.observation(self.modality)
        if observation is None:
            given = ", ".join(each.modality for each in case.observations) or "only a question"
            raise RequestError(f"{self.name} looks at {self.modality}; this case has {given}")
        if not observation.is_empty:
            self.check(observation)
        return observation


class EmbeddingBackend(ABC):
    """Places texts or observations in a space where what means alike is near."""

    modality: ClassVar[str]
    name: str

    @abstractmethod
    def embed(self, observations: Sequence[Observation]) -> Tensor:
        """Return vectors [n, D] float32, not normalised; those of equal observations are equal.

        Raises:
            RequestError: an observation of another modality, or one that it does not take.
        """


class Similarity(BeliefBackend):
    """A belief over options by cosine similarity: softmax(cos(case, option) / temperature).

    Args:
        cases: embeds what is asked.
        options: embeds the options' texts, into the same space; the same backend by default.
        temperature: temperature of the softmax over similarities; fitted on a validation split it calibrates the belief.
    """

    modality = "text"

    def __init__(
        self, cases: EmbeddingBackend, options: EmbeddingBackend | None = None, *, temperature: float = 0.05
    ) -> None:
        if not (temperature > 0 and math.isfinite(temperature)):
            raise BeliefError(f"temperature must be finite and above 0; got {temperature}")
        self._cases, self._options, self._temperature = cases, options or cases, temperature
        # An instance's: any space will do that has both.
        self.modality = cases.modality  # type: ignore[misc]

    @property
    def name(self) -> str:
        """The embedding model's."""
        return self._cases.name

    @property
    def embedding(self) -> EmbeddingBackend:
        """What embeds the options' texts: without the instruction that a question may have."""
        return self._options

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """It has nothing of its own to load: make it of embedding backends."""
        raise RequestError("Similarity is made of an embedding backend, and has no checkpoint of its own")

    def save_pretrained(self, folder: Path) -> None:
        """It has nothing of its own to save."""
        raise RequestError("Similarity is made of an embedding backend, and has no checkpoint of its own")

    def check(self, observation: Observation) -> None:
        """Leave it to the embedding backend."""

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        from agents.observation import Text

        beliefs = []
        for case, vector in zip(cases, self._cases.embed(observations), strict=True):
            labels, texts = case.alternatives
            if not texts:
                beliefs.append(Belief.abstain(labels, "the case has no options to compare"))
                continue
            rows = self._options.embed([Text(text) for text in texts])
            # Lengths as they are, however small; zeros have the cosine 0.
            cosines = torch.nn.functional.cosine_similarity(vector[None].double(), rows.double(), eps=1e-300)
            beliefs.append(Belief.of(labels, torch.softmax(cosines / self._temperature, 0).tolist()))
        return beliefs
