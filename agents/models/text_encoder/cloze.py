"""An agent that fills in a word: the masked language model's belief at a gap. T words, V words that are known."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import BeliefError, ModelError, RequestError
from agents.models.blocks.words import UNKNOWN, split
from agents.models.checkpoint import load_model, save_model
from agents.models.stored import made_of
from agents.models.text_encoder.masked import MASK, SPECIAL, MaskedWords, MaskedWordsConfig
from agents.observation import Observation
from agents.question import Question

GAP = "___"
"""What stands for the missing word in a text."""


class TextEncoderCloze(BeliefBackend):
    """A belief over the words that may stand in a gap: softmax of their mean log-probability / temperature.

    Args:
        model: in eval mode.
        temperature: fitted on a validation split it is calibrated.
    """

    modality = "text"

    def __init__(self, model: MaskedWords, *, temperature: float = 1.0) -> None:
        if not (temperature > 0 and math.isfinite(temperature)):
            raise BeliefError(f"temperature must be finite and above 0; got {temperature}")
        self.model, self.temperature = model.eval(), temperature

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the agent of a folder that its recipe wrote."""
        if checkpoint is None:
            raise ModelError(
                "text_encoder_cloze ships no weights: give checkpoint: FOLDER, made by `debate train text_encoder_cloze`"
            )
        model, stored = load_model(
            checkpoint,
            "masked model of words",
            lambda sizes: MaskedWords(made_of(MaskedWordsConfig, sizes)),
            options_of=cls,
        )
        return cls(model, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        save_model(folder, self.model, self.model.config.sizes, temperature=self.temperature)

    @property
    def name(self) -> str:
        """The backend's name."""
        return "text_encoder_cloze"

    def check(self, observation: Observation) -> None:
        """Refuse a text without one gap."""
        text = getattr(observation, "text", "")
        if text.count(GAP) != 1:
            raise RequestError(f"{self.name} fills in one gap, {GAP}; the text has {text.count(GAP)}")

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [self._belief(case, observation.text) for case, observation in zip(cases, observations, strict=True)]

    def _belief(self, case: Question, text: str) -> Belief:
        labels, options = case.alternatives
        if not options:
            return Belief.abstain(labels, "the case has no options to fill in")
        said = [self.model.vocabulary.numbers(option, max(1, len(split(option)))) for option in options]
        for option, numbers in zip(options, said, strict=True):
            if self.model.config.words.index(UNKNOWN) in numbers:
                return Belief.abstain(labels, f"{option!r} is no word that it learned")
        return Belief.from_log_likelihoods(labels, [self.likelihood(text, each) / self.temperature for each in said])

    @torch.inference_mode()
    def likelihood(self, text: str, said: Sequence[int]) -> float:
        """Return the mean log-probability of word numbers, in nats, all of them masked in a text's gap.

        Raises:
            RequestError: they are more than the model reads.
        """
        before, _, after = text.partition(GAP)
        numbers = self.model.vocabulary.numbers
        left, right = (numbers(part, len(split(part))) if split(part) else [] for part in (before, after))
        room = self.model.config.longest - len(said)
        if room < 0:
            raise RequestError(
                f"{self.name} reads at most {self.model.config.longest} words; what may stand in the gap has {len(said)}"
            )
        # What is further from the gap than is read is left out, evenly on both sides.
        kept = min(len(left), max(room // 2, room - len(right)))
        row = [*left[len(left) - kept :], *[SPECIAL.index(MASK)] * len(said), *right[: room - kept]]
        asked = torch.zeros(1, len(row), dtype=torch.bool)
        asked[0, kept : kept + len(said)] = True
        likely = torch.log_softmax(self.model(torch.tensor([row]), asked).double(), -1)
        return float(likely[torch.arange(len(said)), torch.tensor(said)].mean())
