"""Scores of labels, of a text. B texts, T words, D width, K labels."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from agents.errors import ConfigError
from agents.models.blocks.encoder import Encoder
from agents.models.blocks.hashed import HashedAttention
from agents.models.blocks.layers import Route
from agents.models.blocks.words import Vocabulary, padded
from agents.models.sentences.batch import mean_pooled
from agents.models.text_encoder.config import TextEncoderConfig

SPREAD = 0.1
"""Deviation of the vectors of words and places that it begins with."""


class TextEncoder(nn.Module):
    """Words with learned positions, blocks, the mean over words, a linear head."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config, width = config, config.encoder.width
        self.vocabulary = Vocabulary(config.words)
        self.words, self.positions = nn.Embedding(len(config.words), width), nn.Embedding(config.longest, width)
        for table in (self.words, self.positions):
            nn.init.normal_(table.weight, std=SPREAD)
        self.encoder = Encoder(config.encoder, config.layers)
        self.head = nn.Linear(width, len(config.labels))

    def forward(self, words: Tensor, routes: list[Route] | None = None) -> Tensor:
        """Return the scores [B, K] of word numbers [B, T], 0 where a text has no more; `routes` gets each layer's."""
        there = words.ne(0)
        x = self.words(words) + self.positions.weight[: words.shape[1]]
        found: Tensor = self.head(mean_pooled(self.encoder(x, there, routes=routes), there))
        return found

    def exchange(self, attention: str) -> None:
        """Attend in another way over the hashes that there are; see `HashedAttention.exchange`.

        Raises:
            ConfigError: there are no hashes, or others.
        """
        layers = [layer for layer in self.encoder.attention if isinstance(layer, HashedAttention)]
        if not layers:
            raise ConfigError(
                f"attention {attention!r} needs hashes, and this checkpoint has a softmax: give one of "
                "`debate train text_encoder:ecoformer`"
            )
        for layer in layers:
            layer.exchange(attention)
        self.encoder.config = replace(self.config.encoder, attention=attention)
        self.config = replace(self.config, encoder=self.encoder.config)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return texts as word numbers [B, T], as far as they are read."""
        return padded([self.vocabulary.numbers(text, self.config.longest) for text in texts])
