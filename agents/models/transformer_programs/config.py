"""Sizes of a transformer program."""

from dataclasses import asdict, dataclass

from agents.errors import ConfigError

PAD, BOS, UNKNOWN = "<pad>", "<s>", "<unk>"


@dataclass(frozen=True)
class ProgramConfig:
    """What a program is made of.

    Fields:
        words: that it knows; the first three are PAD, BOS and UNKNOWN.
        labels: that it tells apart.
        values: how many values a categorical variable has; positions are one, so it is also the longest text.
        embeddings: categorical variables of a word.
        layers: blocks of attention and lookup tables.
        categorical_heads, counting_heads: attention heads of a block, which select a value or count matches.
        categorical_tables, counting_tables: lookup tables of a block, over two values or over two counts.
        hidden: units of the network that becomes a lookup table.
    """

    words: tuple[str, ...]
    labels: tuple[str, ...]
    values: int = 32
    embeddings: int = 4
    layers: int = 2
    categorical_heads: int = 4
    counting_heads: int = 4
    categorical_tables: int = 1
    counting_tables: int = 1
    hidden: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        object.__setattr__(self, "labels", tuple(self.labels))
        if self.words[:3] != (PAD, BOS, UNKNOWN):
            raise ConfigError(f"the first words are {PAD}, {BOS} and {UNKNOWN}; got {self.words[:3]}")
        if min(self.values, self.embeddings, self.layers, self.categorical_heads, self.hidden) < 1 or self.values < 2:
            raise ConfigError("a program has at least one layer, embedding and categorical head, and two values")

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return {**asdict(self), "words": list(self.words), "labels": list(self.labels)}
