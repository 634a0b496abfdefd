"""Sizes and choices of a reader of documents."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.words import PAD, UNKNOWN

MASK, BEGIN, END = "<mask>", "<s>", "</s>"
SPECIAL = (PAD, UNKNOWN, MASK, BEGIN, END)


@dataclass(frozen=True)
class DocumentConfig:
    """What a reader of documents is made of.

    Attributes:
        words: that it knows; the first five are `SPECIAL`.
        longest: words of a line that are read, and said.
        grid: steps that a page is divided into, across and down, for the places of boxes; 1000 in the paper's scale.
        reading: blocks over the words of a line.
        page: blocks over the lines of a page, of the same width.
        layout: whether it is told where lines stand; without, a page is a set of lines, as a control.

    Raises:
        ConfigError: sizes that do not fit together.
    """

    words: tuple[str, ...]
    longest: int = 14
    grid: int = 50
    reading: EncoderConfig = field(default_factory=lambda: EncoderConfig(64, 1, 4, 16, 128))
    page: EncoderConfig = field(default_factory=lambda: EncoderConfig(64, 2, 4, 16, 128))
    layout: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        for name in ("reading", "page"):
            if isinstance(value := getattr(self, name), Mapping):
                object.__setattr__(self, name, EncoderConfig(**value))
        if self.words[: len(SPECIAL)] != SPECIAL:
            raise ConfigError(f"the first words are {', '.join(SPECIAL)}; got {self.words[: len(SPECIAL)]}")
        if min(self.longest, self.grid) < 1 or self.reading.width != self.page.width:
            raise ConfigError(
                f"a reader of documents reads a word, has a grid of 1 or more, and one width; got {self.longest} words, grid "
                f"{self.grid}, widths {self.reading.width} and {self.page.width}"
            )

    @property
    def sizes(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**asdict(self), "words": list(self.words)}
