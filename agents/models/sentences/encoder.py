"""A BERT or RoBERTa that stops after any of its layers. B texts, T positions, D width."""

from collections.abc import Iterator
from typing import Any, ClassVar

from torch import Tensor, nn

from agents.errors import ConfigError, UnknownName
from agents.models.sentences.batch import batch, mean_pooled
from agents.models.sentences.contrastive import prefix
from agents.models.sentences.embedding import SentenceEmbedding


def first_pooled(states: Tensor, there: Tensor) -> Tensor:
    """Return the state of the first position [B, D], BERT's CLS, of [B, T, D]."""
    return states[:, 0]


POOLINGS = {"mean": mean_pooled, "first": first_pooled}


class Encoder(nn.Module):
    """One vector a text after each layer.

    Args:
        body: transformers' BertModel, or one of the same parts (`embeddings`, `encoder.layer`), as XLMRobertaModel is.
        pooling: `mean`, or `first` as the published mxbai-embed-2d-large-v1 has it.
        longest: texts are cut there, in tokens.
    """

    def __init__(self, body: Any, *, pooling: str = "mean", longest: int = 512) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise UnknownName("pooling", pooling, POOLINGS)
        self.body, self.pooling, self.longest = body, pooling, longest

    @property
    def layers(self) -> int:
        """How many there are."""
        return len(self.body.encoder.layer)

    @property
    def width(self) -> int:
        """Numbers of a whole vector."""
        return int(self.body.config.hidden_size)

    def check(self, layer: int, dim: int, *, first: int = 1) -> None:
        """Raise ConfigError where there is no such layer (from `first`), or a vector is not so long."""
        if not first <= layer <= self.layers:
            note = " (0 are the embeddings, no layer)" if first else ""
            raise ConfigError(f"layer is between {first} and {self.layers}{note}; got {layer}")
        if not 1 <= dim <= self.width:
            raise ConfigError(f"dim is between 1 and the model's width, {self.width}; got {dim}")

    def states(self, tokens: Tensor, there: Tensor, *, layer: int | None = None, first: int = 1) -> Iterator[Tensor]:
        """Yield the states [B, T, D] after layers `first` to `layer`; no later layer runs.

        Args:
            tokens, there: [B, T], token numbers and which are no padding.
            layer: the last one by default.
            first: 1, or 0 for the embeddings too, which sentence-transformers counts as a layer.
        """
        h = self.body.embeddings(input_ids=tokens)
        if first == 0:
            yield h
        # One row a text, for every query alike: keys that are padding are not seen.
        mask = there[:, None, None, :].expand(-1, 1, there.shape[1], -1)
        for block in self.body.encoder.layer[: self.layers if layer is None else layer]:
            h = block(h, mask)
            yield h

    def forward(self, tokens: Tensor, there: Tensor, *, layer: int | None = None, first: int = 1) -> list[Tensor]:
        """Return the vectors [B, D] after layers `first` to `layer`, not normalised; arguments are those of `states`."""
        return [POOLINGS[self.pooling](h, there) for h in self.states(tokens, there, layer=layer, first=first)]

    def embed(self, tokens: Tensor, there: Tensor, *, layer: int, dim: int) -> Tensor:
        """Return unit vectors [B, dim]: after a layer (0 for none), cut, and of length 1 again."""
        self.check(layer, dim, first=0)
        return prefix(self(tokens, there, layer=layer, first=min(layer, 1))[-1], dim)


class LayerEmbedding(SentenceEmbedding):
    """Vectors of texts by an encoder that stops after a layer, of which a prefix is kept, of length 1.

    Args:
        encoder: in eval mode.
        tokenizer: the model's.
        layer: where it stops.
        dim: length of the prefix; all of the width by default.

    Raises:
        ConfigError: there is no such layer, or a vector is not so long.
    """

    first_layer: ClassVar[int] = 1
    """1, or 0 where embeddings count as a layer."""

    def __init__(self, encoder: Encoder, tokenizer: Any, *, layer: int, dim: int | None = None) -> None:
        self.encoder, self.tokenizer, self.layer = encoder.eval(), tokenizer, layer
        self.dim = encoder.width if dim is None else dim
        encoder.check(self.layer, self.dim, first=self.first_layer)

    @property
    def width(self) -> int:
        """The prefix's length."""
        return self.dim

    def vector(self, text: str) -> Tensor:
        """Return the unit vector [dim] of a text."""
        tokens, there = batch(self.tokenizer, [text], self.encoder.longest)
        return self.encoder.embed(tokens, there, layer=self.layer, dim=self.dim).float()[0]
