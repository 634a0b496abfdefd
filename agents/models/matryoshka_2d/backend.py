"""An agent that compares texts as cheaply as it is told to: it stops after a layer, and keeps a prefix of the vectors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.belief_backend import EmbeddingBackend, Similarity
from agents.errors import ModelError, RequestError
from agents.models.matryoshka_2d.model import Encoder
from agents.models.sentences.batch import batch
from agents.observation import Observation, Text
from agents.pretrained import locate

STORED = "matryoshka_2d.json"


class Matryoshka2DEmbedding(EmbeddingBackend):
    """Vectors of texts.

    Args:
        encoder: in eval mode.
        tokenizer: the model's.
        layer: it stops there; the last by default.
        dim: length of the prefix that is kept, of length 1 again; all of the width by default.
    """

    modality = "text"

    def __init__(self, encoder: Encoder, tokenizer: Any, *, layer: int | None = None, dim: int | None = None) -> None:
        self.encoder, self.tokenizer = encoder.eval(), tokenizer
        self.layer = encoder.layers if layer is None else layer
        self.dim = encoder.width if dim is None else dim
        encoder.check(self.layer, self.dim)
        self.name = f"matryoshka_2d (layer {self.layer}, {self.dim} numbers)"

    @torch.inference_mode()
    def embed(self, observations: Sequence[Observation]) -> Tensor:
        """Return unit vectors [n, dim]; texts go one at a time, so that none depends on another's length."""
        rows = []
        for each in observations:
            if not isinstance(each, Text):
                raise RequestError(f"matryoshka_2d looks at text; got {each.modality}")
            tokens, there = batch(self.tokenizer, [each.text], self.encoder.longest)
            rows.append(self.encoder.embed(tokens, there, layer=self.layer, dim=self.dim).float())
        return torch.cat(rows) if rows else torch.zeros(0, self.dim)


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
                "matryoshka_2d ships no weights: give checkpoint: FOLDER, made by `debate train-backend`, or a hub id"
            )
        from transformers import AutoTokenizer, BertModel

        folder = locate(checkpoint)
        try:
            path = folder / STORED
            stored = json.loads(path.read_text()) if path.is_file() else {"encoder": {"pooling": _pooling(folder)}}
            kind = json.loads((folder / "config.json").read_text()).get("model_type")
            if kind != "bert":
                raise ModelError(f"matryoshka_2d reads models of type bert; {folder} holds {kind!r}")
            body, found = BertModel.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation="sdpa",
                add_pooling_layer=False,
                output_loading_info=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise ModelError(f"no BERT in {folder}: {str(error).splitlines()[0]}") from error
        if found["missing_keys"]:
            raise ModelError(f"{folder} lacks weights, first {min(found['missing_keys'])}")
        return cls(Encoder(body, **stored.pop("encoder")), tokenizer, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model and tokenizer in transformers' layout, and matryoshka_2d.json."""
        encoder = self.texts.encoder
        folder.mkdir(parents=True, exist_ok=True)
        encoder.body.save_pretrained(folder)
        self.texts.tokenizer.save_pretrained(folder)
        stored = {
            "encoder": {"pooling": encoder.pooling, "longest": encoder.longest},
            "layer": self.texts.layer,
            "dim": self.texts.dim,
            "temperature": self.temperature,
        }
        # Last: a folder with it is whole.
        (folder / STORED).write_text(json.dumps(stored, indent=1) + "\n")


def _pooling(folder: Path) -> str:
    """Return how a model in sentence-transformers' layout pools."""
    path = folder / "1_Pooling" / "config.json"
    return "first" if path.is_file() and json.loads(path.read_text()).get("pooling_mode_cls_token") else "mean"
