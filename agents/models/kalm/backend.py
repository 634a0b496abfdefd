"""An agent that compares texts: KaLM's vectors, and a belief over options by their cosine with the question."""

from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from agents.beliefs.belief_backend import Similarity
from agents.errors import ConfigError, ModelError, first_line
from agents.models.kalm.model import Encoder, Reading
from agents.models.kalm.reading import published_reading
from agents.models.sentences.batch import batch
from agents.models.sentences.contrastive import prefix
from agents.models.sentences.embedding import SentenceEmbedding
from agents.models.sentences.folder import load_encoder, read_settings, save_model, write_settings
from agents.models.stored import made_of, typed
from agents.pretrained import locate

STORED = "kalm.json"


class KaLMEmbedding(SentenceEmbedding):
    """Vectors of texts.

    Args:
        encoder: in eval mode.
        tokenizer: the model's.
        dim: length of the prefix that is kept, of length 1 again; all of the width by default.
        instruction: stands before a text, as `Instruct: …\\nQuery: ` does before a question in the published models.
    """

    backend = name = "kalm"

    def __init__(self, encoder: Encoder, tokenizer: Any, *, dim: int | None = None, instruction: str = "") -> None:
        width = encoder.body.config.hidden_size
        if dim is not None and not 1 <= dim <= width:
            raise ConfigError(f"dim is between 1 and the model's width, {width}; got {dim}")
        self.encoder, self.tokenizer = encoder.eval(), tokenizer
        self.dim, self.instruction = dim or width, instruction

    @property
    def width(self) -> int:
        """The prefix's length."""
        return self.dim

    def vector(self, text: str) -> Tensor:
        """Return the unit vector [dim] of a text."""
        tokens, there = batch(self.tokenizer, [self.instruction + text], self.encoder.reading.longest)
        return prefix(self.encoder(tokens, there).float(), self.dim)[0]


class KaLM(Similarity):
    """A belief over the options of a question.

    Args:
        encoder, tokenizer: of the model.
        dim: length of the vectors' prefix that is compared.
        instruction: stands before the question, not before options.
        temperature: softmax(cos / temperature); fitted on a validation split it is calibrated.
    """

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: Any,
        *,
        dim: int | None = None,
        instruction: str = "",
        temperature: float = 0.05,
    ) -> None:
        self.questions = KaLMEmbedding(encoder, tokenizer, dim=dim, instruction=instruction)
        self.texts = KaLMEmbedding(encoder, tokenizer, dim=dim)
        self.temperature = temperature
        super().__init__(self.questions, self.texts, temperature=temperature)

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder, or of a Qwen2 embedding model in sentence-transformers' layout or on the hub.

        `pooling` (mean, last), `bidirectional` and `longest` among the options stand in place of what a checkpoint says.
        """
        if checkpoint is None:
            raise ModelError("kalm ships no weights: give checkpoint: FOLDER, made by `debate train`, or a hub id")
        from transformers import Qwen2Model

        folder = locate(checkpoint)
        try:
            stored = read_settings(folder / STORED)
            given = {each.name: options.pop(each.name) for each in fields(Reading) if each.name in options}
            if stored:
                reading = made_of(Reading, {**stored.pop("reading", {}), **given})
                stored = typed(cls, stored)
            else:
                reading, stored["instruction"] = published_reading(folder, given)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"no KaLM in {folder}: {first_line(error)}") from error
        body, tokenizer = load_encoder(folder, Qwen2Model, kind="qwen2", backend="kalm", what="KaLM")
        return cls(Encoder(body, reading), tokenizer, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model and tokenizer in transformers' layout, and kalm.json."""
        encoder = self.questions.encoder
        save_model(folder, encoder.body, self.questions.tokenizer)
        stored = {
            "reading": encoder.reading.sizes,
            "dim": self.questions.dim,
            "instruction": self.questions.instruction,
            "temperature": self.temperature,
        }
        write_settings(folder / STORED, stored)
