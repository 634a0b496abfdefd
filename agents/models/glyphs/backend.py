"""An agent that finds an option likely or not, letter by letter; its model is also one for the `transformers` backend."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.control_tokens import control_tokens
from agents.errors import BeliefError, ModelError, RequestError, first_line
from agents.hollow import no_larger_than
from agents.model_folder import held, read_config, read_tokenizer, refuse_incomplete
from agents.models.sentences.folder import refuse_more_tokens, save_model, write_settings
from agents.models.stored import read_stored, typed
from agents.observation import Observation, Text
from agents.question import Question

STORED = "glyphs.json"


class Glyphs(BeliefBackend):
    """A belief over options: softmax of their mean log-likelihood a character after the question, divided by a temperature.

    Args:
        model: transformers' LlamaForCausalLM on a frozen table.
        tokenizer: of characters.
        temperature: fitted on a validation split it is calibrated.
    """

    modality = "text"

    def __init__(self, model: Any, tokenizer: Any, *, temperature: float = 1.0) -> None:
        if not (temperature > 0 and math.isfinite(temperature)):
            raise BeliefError(f"temperature must be finite and above 0; got {temperature}")
        self.model, self.tokenizer, self.temperature = model.eval(), tokenizer, temperature

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder."""
        if checkpoint is None:
            raise ModelError("glyphs ships no weights: give checkpoint: FOLDER, made by `debate train`")
        from transformers import LlamaForCausalLM

        folder = Path(os.path.expanduser(checkpoint))
        try:
            stored = typed(cls, read_stored(folder / STORED))
            read_config(folder)
            with no_larger_than(*held(folder, str(folder))):
                model, report = LlamaForCausalLM.from_pretrained(
                    folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, output_loading_info=True
                )
            refuse_incomplete(str(folder), report)
            tokenizer = read_tokenizer(folder)
        except (OSError, ValueError, RuntimeError, AssertionError) as error:
            raise ModelError(f"no language model on glyphs in {folder}: {first_line(error)}") from error
        refuse_more_tokens(tokenizer, model.config.vocab_size, folder)
        return cls(model, tokenizer, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model and tokenizer in transformers' layout, and glyphs.json."""
        save_model(folder, self.model, self.tokenizer)
        write_settings(folder / STORED, {"temperature": self.temperature})

    @property
    def name(self) -> str:
        """The backend's name."""
        return "glyphs"

    def check(self, observation: Observation) -> None:
        """Refuse a question that leaves no room for an option."""
        assert isinstance(observation, Text)
        longest = self.model.config.max_position_embeddings
        if len(observation.text) > longest - 2:
            raise RequestError(
                f"glyphs reads at most {longest} characters, question and option; the question has {len(observation.text)}"
            )

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        beliefs = []
        for case, text in zip(cases, observations, strict=True):
            labels, options = case.alternatives
            if not options:
                beliefs.append(Belief.abstain(labels, "the case has no options to compare"))
                continue
            scores = [self.likelihood(text.text, option) / self.temperature for option in options]
            beliefs.append(Belief.from_log_likelihoods(labels, scores))
        return beliefs

    @torch.inference_mode()
    def likelihood(self, question: str, option: str) -> float:
        """Return the mean log-likelihood a character, in nats, of an option after the question and a line break.

        Raises:
            RequestError: together they are longer than the model reads.
        """
        before = [self.tokenizer.bos_token_id, *self._tokens(f"{question}\n")]
        said = self._tokens(option)
        longest = self.model.config.max_position_embeddings
        if len(before) + len(said) > longest:
            raise RequestError(
                f"glyphs reads at most {longest} characters, question and option; these have {len(before) + len(said)}"
            )
        # One option at a time, so that none is padded to another's length.
        logits = self.model(torch.tensor([before + said])).logits[0, len(before) - 1 : -1]
        chosen = torch.log_softmax(logits.double(), -1)[torch.arange(len(said)), torch.tensor(said)]
        return float(chosen.mean())

    def _tokens(self, text: str) -> list[int]:
        return control_tokens(self.tokenizer).ids_of(text, self.tokenizer)
