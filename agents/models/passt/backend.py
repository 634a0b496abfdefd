"""An agent that hears a sound whole: a belief over its classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.passt.config import PaSSTConfig
from agents.models.passt.features import spectrogram
from agents.models.passt.model import PaSST
from agents.models.passt.official import from_official
from agents.models.sounds.backend import SoundBackend
from agents.models.stored import made_of
from agents.observation import Audio

WINDOWS_APART_S = 2.5
"""Of a published model over a sound that is longer than it hears at once (github kkoutini/passt_hear21, wrapper.py)."""


class PaSSTBackend(SoundBackend):
    """A belief over the model's labels; of a sound that is longer than it hears at once, from the mean score of its pieces.

    Args:
        model, temperature, scores: as of SoundBackend. Official models learnt by binary cross-entropy: `scores: sigmoid` is
            theirs; softmax, the default, takes one class for the right one.
    """

    model: PaSST
    what, suffixes, longest_s = "PaSST", (".pt",), 60.0
    published_options = ("hop",)

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | None = None,
        *,
        labels: Sequence[str] | str | None = None,
        hop: int | None = None,
        **options: Any,
    ) -> Self:
        """Return the backend of a folder, or of a published file; `hop` is its spectrogram's, where nothing else tells."""
        asked = {} if hop is None else {"hop": hop}
        return super().from_pretrained(checkpoint, labels=labels, **asked, **options)

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> PaSST:
        """Return a model of the sizes that a folder holds."""
        return PaSST(made_of(PaSSTConfig, sizes))

    @classmethod
    def published(cls, path: Path, labels: Sequence[str] | str | None, **options: Any) -> PaSST:
        """Return the model of an official file; `hop` is its spectrogram's, where neither tensors nor name tell."""
        return from_official(path, labels, **options)

    def class_scores(self, audio: Audio) -> Tensor:
        """Return the scores [K] of one sound."""
        # One piece at a time, so that a sum's order does not depend on how many there are.
        frames = spectrogram(pieces(audio.samples, self.model.config), self.model.config)
        return torch.stack([self.model(each[None])[0] for each in frames]).mean(0)


def pieces(samples: Tensor, config: PaSSTConfig) -> Tensor:
    """Return a sound [L] as the pieces [P, l] that a model hears at once.

    Filled up with silence and half a piece apart; or, where the config cuts, one as it is up to the length that is heard at
    once (at least a patch), and windows over it with reflected ends where it is longer.
    """
    length = config.samples
    if not config.cut:
        step = max(length // 2, 1)
        count = 1 + -(-max(len(samples) - length, 0) // step)
        whole = functional.pad(samples, (0, (count - 1) * step + length - len(samples)))
        return whole.unfold(0, length, step)
    if len(samples) <= length:
        return functional.pad(samples, (0, max(config.shortest - len(samples), 0)))[None]
    edge = length // 2
    reflected = functional.pad(samples[None], (edge, edge), mode="reflect")[0]
    return reflected.unfold(0, length, int(WINDOWS_APART_S * config.rate_hz))
