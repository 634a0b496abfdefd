"""Sizes of a transformer program."""

import re
from dataclasses import asdict, dataclass
from functools import cached_property

from agents.errors import ConfigError

PAD, BOS, UNKNOWN, EOS = "<pad>", "<s>", "<unk>", "</s>"
MOST_COUNTS = 1000

_WORD = re.compile(r"\w+|[^\w\s]")


def split(text: str, *, cased: bool = False) -> list[str]:
    """Return the words and punctuation marks of a text, in lower case unless their case counts."""
    return _WORD.findall(text if cased else text.lower())


@dataclass(frozen=True)
class ProgramConfig:
    """What a program is made of.

    Attributes:
        words: that it knows; the first three are PAD, BOS and UNKNOWN.
        labels: that it tells apart.
        values: how many values a categorical variable has; positions are one, so it is also the longest text.
        embeddings: categorical variables of a word.
        layers: blocks of attention and lookup tables.
        categorical_heads, counting_heads: attention heads of a block, which select a value or count matches.
        categorical_tables, counting_tables: lookup tables of a block, over two values or over two counts.
        hidden: units of the network that becomes a lookup table.
        sums: whether counting heads add up a count of the positions that match, which they choose, as the paper's do; else they
            count the positions.
        pooled: positions that the summed scores are divided by, as in the paper's code, whose texts are filled up to the longest;
            0 for a text's own.
        cased: whether words keep their capital letters.
        ended: whether a text ends with EOS, which is a word then.
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
    sums: bool = False
    pooled: int = 0
    cased: bool = False
    ended: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        object.__setattr__(self, "labels", tuple(self.labels))
        if self.words[:3] != (PAD, BOS, UNKNOWN):
            raise ConfigError(f"the first words are {PAD}, {BOS} and {UNKNOWN}; got {self.words[:3]}")
        if min(self.values, self.embeddings, self.layers, self.categorical_heads, self.hidden) < 1 or self.values < 2:
            raise ConfigError("a program has at least one layer, embedding and categorical head, and two values")
        if self.pooled < 0:
            raise ConfigError(f"pooled is at least 0; got {self.pooled}")
        if self.ended and EOS not in self.words:
            raise ConfigError(f"a program whose texts end with {EOS} knows that word")
        if self.counting_tables and self.most(self.layers - 1) > MOST_COUNTS:
            raise ConfigError(
                f"a table of counts has a row for each: heads that add up counts reach {self.most(self.layers - 1):,} in layer "
                f"{self.layers}. Take counting_tables: 0, fewer layers, or at most {MOST_COUNTS} in all"
            )

    def most(self, layer: int) -> int:
        """Return the highest count after a layer, from 0."""
        return self.values ** (layer + 1) if self.sums else self.values

    def read(self, text: str) -> list[str]:
        """Return a text as the program reads it: BOS, its words, unknown ones as such, no more than it has positions."""
        said = split(text, cased=self.cased)
        words = [BOS, *(word if word in self._known else UNKNOWN for word in said), *([EOS] if self.ended else [])]
        return words[: self.values]

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.words)

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return {**asdict(self), "words": list(self.words), "labels": list(self.labels)}
