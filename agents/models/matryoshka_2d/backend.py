"""An agent that compares texts as cheaply as it is told to: it stops after a layer, and keeps a prefix of the vectors."""

from pathlib import Path
from typing import Any, Self

from agents.beliefs.belief_backend import Similarity
from agents.errors import ModelError, first_line
from agents.models.sentences import published
from agents.models.sentences.encoder import Encoder, LayerEmbedding
from agents.models.sentences.folder import load_encoder, read_settings, save_model, write_settings
from agents.models.stored import typed
from agents.pretrained import locate

STORED = "matryoshka_2d.json"
POOLINGS = {"mean": "mean", "cls": "first"}
"""sentence-transformers' name → ours."""


class Matryoshka2DEmbedding(LayerEmbedding):
    """Vectors of texts.

    Args:
        encoder: in eval mode.
        tokenizer: the model's.
        layer: it stops there; the last by default. 0 is before the first: the embeddings, with their positions.
        dim: length of the prefix that is kept, of length 1 again; all of the width by default.
    """

    backend = "matryoshka_2d"
    first_layer = 0

    def __init__(self, encoder: Encoder, tokenizer: Any, *, layer: int | None = None, dim: int | None = None) -> None:
        super().__init__(encoder, tokenizer, layer=encoder.layers if layer is None else layer, dim=dim)
        self.name = f"{self.backend} (layer {self.layer}, {self.dim} numbers)"


class Matryoshka2D(Similarity):
    """A belief over the options of a question.

    Args:
        encoder, tokenizer: of the model.
        layer, dim: where it stops, and what it keeps: a cheap voter has few of both, a full one all.
        temperature: softmax(cos / temperature); fitted on a validation split it is calibrated.
    """

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: Any,
        *,
        layer: int | None = None,
        dim: int | None = None,
        temperature: float = 0.05,
    ) -> None:
        self.texts = Matryoshka2DEmbedding(encoder, tokenizer, layer=layer, dim=dim)
        self.temperature = temperature
        super().__init__(self.texts, temperature=temperature)

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder, or of a BERT of sentences on the hub, pooled as it says (or by the mean)."""
        if checkpoint is None:
            raise ModelError(
                "matryoshka_2d ships no weights: give checkpoint: FOLDER, made by `debate train`, or a hub id"
            )
        from transformers import BertModel

        folder = locate(checkpoint)
        try:
            stored = read_settings(folder / STORED) or {"encoder": _published(folder)}
            reading = typed(Encoder, stored.pop("encoder"))
            stored = typed(cls, stored)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"no BERT in {folder}: {first_line(error)}") from error
        body, tokenizer = load_encoder(
            folder, BertModel, kind="bert", backend="matryoshka_2d", what="BERT", add_pooling_layer=False
        )
        return cls(Encoder(body, **reading), tokenizer, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model and tokenizer in transformers' layout, and matryoshka_2d.json."""
        encoder = self.texts.encoder
        save_model(folder, encoder.body, self.texts.tokenizer)
        stored = {
            "encoder": {"pooling": encoder.pooling, "longest": encoder.longest},
            "layer": self.texts.layer,
            "dim": self.texts.dim,
            "temperature": self.temperature,
        }
        write_settings(folder / STORED, stored)


def _published(folder: Path) -> dict[str, Any]:
    """Return how a model in sentence-transformers' layout pools, and where it cuts; a bare BERT takes the mean."""
    pooling = published.pooling(folder, "matryoshka_2d", POOLINGS) or "mean"
    longest = published.longest(folder)
    return {"pooling": pooling} if longest is None else {"pooling": pooling, "longest": longest}
