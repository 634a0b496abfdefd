"""A masked language model of words, of the same blocks as the classifier. B texts, T words, V words that are known."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor, nn

from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.encoder import Encoder
from agents.models.blocks.layers import Route
from agents.models.blocks.masked import MaskedEncoder
from agents.models.blocks.words import PAD, UNKNOWN, Vocabulary

MASK = "<mask>"
SPECIAL = (PAD, UNKNOWN, MASK)


@dataclass(frozen=True)
class MaskedWordsConfig:
    """What a model is.

    Attributes:
        words: that it knows; the first three are `SPECIAL`.
        longest: words of a text that are read.
        encoder: its blocks.
    """

    words: tuple[str, ...]
    longest: int = 32
    encoder: EncoderConfig = field(default_factory=EncoderConfig)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        if isinstance(self.encoder, Mapping):
            object.__setattr__(self, "encoder", EncoderConfig(**self.encoder))
        if self.longest < 1 or self.words[:3] != SPECIAL:
            raise ConfigError(
                f"there are words, {', '.join(SPECIAL)} first, and a word at least is read; got words {self.words[:3]} and "
                f"longest {self.longest}"
            )

    @property
    def sizes(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**asdict(self), "words": list(self.words)}


class MaskedWords(nn.Module):
    """A belief over words at the masks of a text."""

    def __init__(self, config: MaskedWordsConfig) -> None:
        super().__init__()
        self.config, self.vocabulary = config, Vocabulary(config.words)
        self.masked = MaskedEncoder(len(config.words), config.longest, Encoder(config.encoder))

    def forward(self, words: Tensor, asked: Tensor, routes: list[Route] | None = None) -> Tensor:
        """Return the scores [N, V] of the N places that are asked for, text by text.

        Args:
            words: [B, T] word numbers, 0 where a text has no more.
            asked: [B, T] bool.
            routes: gets each layer's, where there are experts.
        """
        return self.masked.scores(self.masked.states(words, words.ne(0), routes)[asked])
