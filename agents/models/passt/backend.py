"""An agent that hears a sound whole: a belief over its classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import BeliefError, ModelError
from agents.models.checkpoint import load_model, save_model
from agents.models.passt.config import PaSSTConfig
from agents.models.passt.features import spectrogram
from agents.models.passt.model import PaSST
from agents.models.passt.official import from_official
from agents.models.sounds import check_sound
from agents.observation import Observation
from agents.question import Question

LONGEST_S = 60.0


class PaSSTBackend(BeliefBackend):
    """A belief over the model's labels; a sound that is longer than it hears at once is heard in halves that overlap.

    Args:
        model: in eval mode.
        temperature: of the softmax; fitted on a validation split it is calibrated.
    """

    modality = "audio"

    def __init__(self, model: PaSST, *, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise BeliefError(f"temperature must be above 0; got {temperature}")
        self.model, self.temperature = model.eval(), temperature

    @classmethod
    def from_pretrained(
        cls, checkpoint: str | None = None, *, labels: Sequence[str] | None = None, **options: Any
    ) -> Self:
        """Return the backend of a folder, or of an official `.pt` file, whose classes `labels` names."""
        if checkpoint is None:
            raise ModelError("passt ships no weights: give checkpoint: FOLDER, made by `debate train`, or FILE.pt")
        path = Path(checkpoint).expanduser()
        if path.suffix == ".pt":
            return cls(from_official(path, labels), **options)
        if labels is not None:
            raise ModelError("labels are for official .pt files; a folder has its own")
        model, stored = load_model(path, "PaSST", lambda sizes: PaSST(PaSSTConfig(**sizes)))
        return cls(model, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        save_model(folder, self.model, self.model.config.sizes, temperature=self.temperature)

    @property
    def name(self) -> str:
        """The backend's name."""
        return "passt"

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the model's."""
        return self.model.config.labels

    def check(self, observation: Observation) -> None:
        """Refuse another rate, and what is too long."""
        check_sound(self.name, observation, rate_hz=self.model.config.rate_hz, longest_s=LONGEST_S)

    @torch.inference_mode()
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        beliefs = []
        for audio in observations:
            frames = spectrogram(pieces(audio.samples, self.model.config.samples), self.model.config)
            # One piece at a time, so that a sum's order does not depend on how many there are.
            scores = torch.stack([self.model(each[None])[0] for each in frames]).mean(0).double()
            shares = torch.softmax(scores / self.temperature, 0).tolist()
            beliefs.append(Belief.of(self.model.config.labels, shares))
        return beliefs


def pieces(samples: Tensor, length: int) -> Tensor:
    """Return a sound [L] in pieces [P, length] that begin half a length apart; the last is padded with silence."""
    step = max(length // 2, 1)
    count = 1 + -(-max(len(samples) - length, 0) // step)
    whole = functional.pad(samples, (0, (count - 1) * step + length - len(samples)))
    return whole.unfold(0, length, step)
