"""An agent that compares texts of whatever languages, and need not know which they are in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.beliefs.belief_backend import Similarity
from agents.errors import ModelError, first_line
from agents.models.langsamp.model import LANGUAGES, SCRIPTS, MaskedModel
from agents.models.sentences.encoder import LayerEmbedding
from agents.models.sentences.folder import load_encoder, read_settings, save_model, write_settings
from agents.models.stored import typed
from agents.ordinary_file import check_ordinary
from agents.pretrained import locate

STORED = "langsamp.json"
NO_TYPES = "roberta.embeddings.token_type_embeddings.weight"
"""XLM-R has one vector that is added at every place; the published LangSAMP took it away, which is the same as a zero."""


class LangSAMPEmbedding(LayerEmbedding):
    """Vectors of texts: the mean of the states after a layer, without tables and head.

    Args:
        model: in eval mode.
        tokenizer: the model's.
        layer: where it stops; two thirds of the way by default, which is layer 8 of the paper's 12.
    """

    backend = name = "langsamp"

    def __init__(self, model: MaskedModel, tokenizer: Any, *, layer: int | None = None) -> None:
        self.model = model.eval()
        encoder = model.encoder
        super().__init__(encoder, tokenizer, layer=max(1, 2 * encoder.layers // 3) if layer is None else layer)


class LangSAMP(Similarity):
    """A belief over the options of a question, which may be in other languages than it is.

    Args:
        model, tokenizer: of XLM-R's shape; the tables are kept for training and for the head, and take no part here.
        layer: where the encoder stops.
        languages, scripts: what the rows of the tables stand for, e.g. ISO 639-3 codes; unknown of published weights.
        temperature: softmax(cos / temperature); fitted on a validation split it is calibrated.
    """

    def __init__(
        self,
        model: MaskedModel,
        tokenizer: Any,
        *,
        layer: int | None = None,
        languages: Sequence[str] = (),
        scripts: Sequence[str] = (),
        temperature: float = 0.05,
    ) -> None:
        self.texts = LangSAMPEmbedding(model, tokenizer, layer=layer)
        self.languages, self.scripts, self.temperature = tuple(languages), tuple(scripts), temperature
        super().__init__(self.texts, temperature=temperature)

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder, or of an XLM-R on the hub, with tables where it has them."""
        if checkpoint is None:
            raise ModelError("langsamp ships no weights: give checkpoint: FOLDER, made by `debate train`, or a hub id")
        from transformers import XLMRobertaForMaskedLM

        folder = locate(checkpoint)
        try:
            stored = read_settings(folder / STORED)
            longest = typed(MaskedModel, {key: stored.pop(key) for key in ("longest",) if key in stored})
            stored = typed(cls, stored)
            tables = _tables(folder)
        except (OSError, ValueError) as error:
            raise ModelError(f"no XLM-R in {folder}: {first_line(error)}") from error
        # Its own name is kept, which is written into what it saves; only that tables are no surprise is new.
        ours = {"_keys_to_ignore_on_load_unexpected": [LANGUAGES, SCRIPTS]}
        made_of = type("XLMRobertaForMaskedLM", (XLMRobertaForMaskedLM,), ours)
        body, tokenizer = load_encoder(
            folder, made_of, kind="xlm-roberta", backend="langsamp", what="XLM-R", zero=(NO_TYPES,)
        )
        sizes = {name: len(rows) for name, rows in tables.items()}
        pad, places = body.config.pad_token_id, body.config.max_position_embeddings
        model = MaskedModel(
            body,
            languages=sizes.get(LANGUAGES, 0),
            scripts=sizes.get(SCRIPTS, 0),
            # Positions are counted from the one after the padding's number.
            **{"longest": places - pad - 1, **longest},
        )
        for name, rows in tables.items():
            table = model.table(name)
            assert table is not None
            table.weight.data.copy_(rows)
        return cls(model, tokenizer, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model, tables and tokenizer in transformers' layout, with the published names, and langsamp.json."""
        model = self.texts.model
        save_model(folder, model.body, self.texts.tokenizer)
        stored = {
            "longest": model.encoder.longest,
            "layer": self.texts.layer,
            "languages": self.languages,
            "scripts": self.scripts,
            "temperature": self.temperature,
        }
        write_settings(folder / STORED, stored)


def _tables(folder: Path) -> dict[str, Tensor]:
    """Return the tables [rows, D] among the weights of a folder, by their published names."""
    from safetensors import SafetensorError, safe_open

    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(check_ordinary(path), "pt") as weights:
                for key in weights.keys():  # noqa: SIM118 - not a mapping
                    name = key.removesuffix(".weight").rpartition(".")[2]
                    if name in (LANGUAGES, SCRIPTS):
                        found[name] = weights.get_tensor(key).to(torch.float32)
        except SafetensorError as error:
            raise OSError(f"{path.name}: {error}") from error
    return found
