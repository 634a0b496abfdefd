"""Sizes of an LMUFormer and of the spectrogram that it hears."""

from dataclasses import asdict, dataclass

from agents.errors import ConfigError
from agents.models.sounds.ranges import check_ranges

KALDI_HZ = 16_000


@dataclass(frozen=True)
class LMUFormerConfig:
    """What a model is.

    Attributes:
        labels: that it tells apart.
        rate_hz: of the sound that it takes.
        window, hop: of the spectrogram, in samples.
        mels: bands of the spectrogram.
        width: channels, and size of the memory.
        theta: window of the memory, in frames; the paper has the length of its sequences.
        expansion: of the channel mixer.
        spiking: the variant whose layers hear spikes of each other, with twice the memory.
        look_ahead: whether each of the five convolutions sees the next frame too, as the paper's do; it has no stream then.
        kaldi: whether the spectrogram is Kaldi's, as the paper's is: of 25 ms every 10 ms at 16 kHz, whatever window and hop.
        frames: that every spectrogram is cut or padded to; 0 for as many as the sound has.
        mean, deviation: what Kaldi's spectrogram is scaled by, (x − mean) / (2 deviation).
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
    look_ahead: bool = False
    kaldi: bool = False
    frames: int = 0
    mean: float = 0.0
    deviation: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        if min(self.rate_hz, self.window, self.hop, self.mels, self.width, self.theta, self.expansion) < 1:
            raise ConfigError(f"sizes are at least 1; got {self.sizes}")
        if wrong := check_ranges(self):
            raise ConfigError(wrong)
        if self.frames < 0 or not self.deviation > 0:
            raise ConfigError(f"frames are at least 0 and deviation is above 0; got {self.frames} and {self.deviation}")
        if self.kaldi and self.rate_hz != KALDI_HZ:
            raise ConfigError(f"Kaldi's spectrogram is of sound at {KALDI_HZ} Hz; got rate_hz {self.rate_hz}")

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return {**asdict(self), "labels": list(self.labels)}
