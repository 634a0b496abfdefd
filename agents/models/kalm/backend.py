"""An agent that compares texts: KaLM's vectors, and a belief over options by their cosine with the question."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.belief_backend import EmbeddingBackend, Similarity
from agents.errors import ConfigError, ModelError, RequestError
from agents.models.kalm.model import Encoder, Reading
from agents.models.sentences.batch import batch
from agents.models.sentences.contrastive import prefix
from agents.observation import Observation, Text
from agents.pretrained import locate

STORED = "kalm.json"


class KaLMEmbedding(EmbeddingBackend):
    """Vectors of texts.

    Args:
        encoder: in eval mode.
        tokenizer: the model's.
        dim: length of the prefix that is kept, of length 1 again; all of the width by default.
        instruction: stands before a text, as `Instruct: …\\nQuery: ` does before a question in the published models.
    """

    modality = "text"
    name = "kalm"

    def __init__(self, encoder: Encoder, tokenizer: Any, *, dim: int | None = None, instruction: str = "") -> None:
        width = encoder.body.config.hidden_size
        if dim is not None and not 1 <= dim <= width:
            raise ConfigError(f"dim is between 1 and the model's width, {width}; got {dim}")
        self.encoder, self.tokenizer = encoder.eval(), tokenizer
        self.dim, self.instruction = dim or width, instruction

    @torch.inference_mode()
    def embed(self, observations: Sequence[Observation]) -> Tensor:
        """Return unit vectors [n, dim]; texts go one at a time, so that none depends on another's length."""
        rows = []
        for each in observations:
            if not isinstance(each, Text):
                raise RequestError(f"kalm looks at text; got {each.modality}")
            tokens, there = batch(self.tokenizer, [self.instruction + each.text], self.encoder.reading.longest)
            rows.append(prefix(self.encoder(tokens, there).float(), self.dim))
        return torch.cat(rows) if rows else torch.zeros(0, self.dim)


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
        """Return the backend of a folder, or of a Qwen2 embedding model on the hub, which is read as the paper reads it."""
        if checkpoint is None:
            raise ModelError(
                "kalm ships no weights: give checkpoint: FOLDER, made by `debate train-backend`, or a hub id"
            )
        from transformers import AutoTokenizer, Qwen2Model

        folder = locate(checkpoint)
        try:
            path = folder / STORED
            stored = json.loads(path.read_text()) if path.is_file() else {}
            reading = Reading(**stored.pop("reading", {}))
            kind = json.loads((folder / "config.json").read_text()).get("model_type")
            if kind != "qwen2":
                raise ModelError(f"kalm reads models of type qwen2; {folder} holds {kind!r}")
            body, found = Qwen2Model.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="sdpa", output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise ModelError(f"no KaLM in {folder}: {str(error).splitlines()[0]}") from error
        if found["missing_keys"]:
            raise ModelError(f"{folder} lacks weights, first {min(found['missing_keys'])}")
        return cls(Encoder(body, reading), tokenizer, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model and tokenizer in transformers' layout, and kalm.json."""
        encoder = self.questions.encoder
        folder.mkdir(parents=True, exist_ok=True)
        encoder.body.save_pretrained(folder)
        self.questions.tokenizer.save_pretrained(folder)
        stored = {
            "reading": encoder.reading.sizes,
            "dim": self.questions.dim,
            "instruction": self.questions.instruction,
            "temperature": self.temperature,
        }
        # Last: a folder with it is whole.
        (folder / STORED).write_text(json.dumps(stored, indent=1) + "\n")
