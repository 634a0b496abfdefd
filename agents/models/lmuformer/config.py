"""Sizes of an LMUFormer and of the spectrogram that it hears."""

from dataclasses import asdict, dataclass

from agents.errors import ConfigError


@dataclass(frozen=True)
class LMUFormerConfig:
    """What a model is.

    Fields:
        labels: that it tells apart.
        rate_hz: of the sound that it takes.
        window, hop: of the spectrogram, in samples.
        mels: bands of the spectrogram.
        width: channels, and size of the memory.
        theta: window of the memory, in frames; the paper has the length of its sequences.
        expansion: of the channel mixer.
        spiking: the variant whose layers hear spikes of each other, with twice the memory.
    """

    labels: tuple[str, ...]
    rate_hz: int = 8000
    window: int = 256
    hop: int = 80
    mels: int = 40
    width: int = 48
    theta: int = 64
    expansion: int = 4
    spiking: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        if min(self.rate_hz, self.window, self.hop, self.mels, self.theta, self.expansion) < 1 or self.width % 8:
            raise ConfigError(f"sizes are at least 1 and width is a multiple of 8; got {self.sizes}")

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return {**asdict(self), "labels": list(self.labels)}
