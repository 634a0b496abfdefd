"""Sizes of a classifier of texts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig, LayerSize, check_layers
from agents.models.blocks.words import PAD, UNKNOWN


@dataclass(frozen=True)
class TextEncoderConfig:
    """What a model is.

    Attributes:
        labels: that it tells apart.
        words: that it knows; the first two are PAD and UNKNOWN.
        longest: words of a text that are read.
        encoder: its blocks.
        layers: sizes of each of its layers, where something was taken away from them (`axformer`); empty: as `encoder` says.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]
    longest: int = 64
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    layers: tuple[LayerSize, ...] = ()

    def __post_init__(self) -> None:
        for name in ("labels", "words"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if isinstance(self.encoder, Mapping):
            object.__setattr__(self, "encoder", EncoderConfig(**self.encoder))
        object.__setattr__(self, "layers", tuple(self.layers))
        check_layers(self.encoder, self.layers)
        if not self.labels or self.longest < 1 or self.words[:2] != (PAD, UNKNOWN):
            raise ConfigError(
                f"there are labels and words, {PAD} and {UNKNOWN} first, and a word at least is read; got {len(self.labels)} "
                f"labels, words {self.words[:2]} and longest {self.longest}"
            )

    @property
    def sizes(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            **asdict(self),
            "labels": list(self.labels),
            "words": list(self.words),
            "layers": [asdict(each) for each in self.layers],
        }
