"""A masked language model whose head is told the language and the script. B texts, T positions, D width, V tokens.

In training h' = h + E_language + E_script goes into the head in place of the last state h (github cisnlp/LangSAMP). The tables
are added there and nowhere else: to the input they would be another method, and the encoder's states never see them, so that
nobody need know a text's language to compare it.
"""

from typing import Any

from torch import Tensor, nn

from agents.models.sentences.encoder import Encoder

LANGUAGES, SCRIPTS = "lang_type_embeddings", "script_type_embeddings"
"""What the tables are called beside the encoder's embeddings, in published weights too."""


class MaskedModel(nn.Module):
    """Tokens believed at masked places.

    Args:
        body: transformers' XLMRobertaForMaskedLM, which gets the tables as parts of its embeddings, where they are published.
        languages, scripts: rows of the tables; 0 is none: a model without them, the paper's baseline, is an ordinary one.
        longest: texts are cut there, in tokens.
    """

    def __init__(self, body: Any, *, languages: int = 0, scripts: int = 0, longest: int = 512) -> None:
        super().__init__()
        self.body = body
        config = body.config
        for name, rows in ((LANGUAGES, languages), (SCRIPTS, scripts)):
            if rows:
                table = nn.Embedding(rows, config.hidden_size)
                nn.init.normal_(table.weight, std=config.initializer_range)
                setattr(body.roberta.embeddings, name, table)
        # Not a part of its own: its weights are the body's.
        self._encoder = (Encoder(body.roberta, longest=longest),)

    @property
    def encoder(self) -> Encoder:
        """The encoder, without tables and head."""
        return self._encoder[0]

    def table(self, name: str) -> nn.Embedding | None:
        """Return one of the tables [rows, D], or None where the model has none."""
        found = getattr(self.body.roberta.embeddings, name, None)
        assert found is None or isinstance(found, nn.Embedding)
        return found

    def forward(self, tokens: Tensor, there: Tensor, asked: Tensor, languages: Tensor, scripts: Tensor) -> Tensor:
        """Return the logits [N, V] of the N places that are asked for, text by text.

        Args:
            tokens, there, asked: [B, T], token numbers, which are no padding, and which are asked for.
            languages, scripts: [B], rows of the tables; without tables they do nothing.
        """
        *_, h = self.encoder.states(tokens, there)
        for name, rows in ((LANGUAGES, languages), (SCRIPTS, scripts)):
            table = self.table(name)
            if table is not None:
                h = h + table(rows)[:, None]
        found: Tensor = self.body.lm_head(h[asked])
        return found
