"""An agent that hears: a belief over classes of sound, also of what was heard so far."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.errors import BeliefError, RequestError
from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.features import longest_s, spectrogram
from agents.models.lmuformer.network import network
from agents.models.lmuformer.official import from_official
from agents.models.lmuformer.stream import State, Streamed
from agents.models.sounds.backend import SoundBackend
from agents.models.stored import made_of
from agents.observation import Audio, Observation
from agents.question import Question


class LMUFormerBackend(SoundBackend):
    """A belief over the model's labels.

    Args:
        model, temperature, scores: as of SoundBackend.
        heard: share of the frames after which the belief is formed; an agent that answers early. Or one share a round of the
            debate, ascending, the last one for what follows: an agent that answers while it hears.
    """

    model: Streamed
    what, suffixes, longest_s = "LMUFormer", (".pth",), 30.0

    def __init__(
        self,
        model: Streamed,
        *,
        heard: float | Sequence[float] = 1.0,
        temperature: float = 1.0,
        scores: str = "softmax",
    ) -> None:
        shares = list(heard) if isinstance(heard, Sequence) else [heard]
        if not shares or not all(0 < share <= 1 for share in shares):
            raise BeliefError(f"heard is a share above 0 and at most 1, or one a round; got {heard}")
        if shares != sorted(shares):
            raise BeliefError(f"what was heard stays heard: shares of rounds ascend; got {shares}")
        super().__init__(model, temperature=temperature, scores=scores)
        self.heard, self.shares = heard, shares

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> Streamed:
        """Return a model of the sizes that a folder holds."""
        return network(made_of(LMUFormerConfig, sizes))

    @classmethod
    def published(cls, path: Path, labels: Sequence[str] | str | None, **options: Any) -> Streamed:
        """Return the model of an official file."""
        return from_official(path, labels)

    def check(self, observation: Observation) -> None:
        """Refuse what is too long, also for a model that hears so many frames and no more."""
        super().check(observation)
        assert isinstance(observation, Audio)
        most, length_s = longest_s(self.config), len(observation.samples) / observation.rate_hz
        if length_s > most:
            raise RequestError(
                f"{self.name} hears {self.config.frames} frames, {most:.2f} s of a sound, and this has {length_s:.2f}; cut it "
                "into pieces"
            )

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
        """Return the mean score [K] of the frames of one sound that are heard first."""
        return self.scores_after(audio, self.shares[0])

    def scores_after(self, audio: Audio, share: float) -> Tensor:
        """Return the mean score [K] of a share of the frames of one sound, with nothing heard of the others."""
        frames = self.frames(audio)
        count = max(1, round(share * len(frames)))
        if self.model.config.look_ahead:
            frames = frames[:count]
        scores: Tensor = self.model(frames[None])[0]
        return scores[:count].mean(0)

    @torch.inference_mode()
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        # One sound at a time, so that none is padded to another's length.
        return [
            self._belief(self.scores_after(audio, self.shares[min(case.round, len(self.shares)) - 1]))
            for case, audio in zip(cases, observations, strict=True)
        ]
