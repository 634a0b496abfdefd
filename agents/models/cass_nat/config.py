"""Sizes of a CASS-NAT and of the spectrogram that it hears."""

from dataclasses import asdict, dataclass

from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig
from agents.models.sounds.ranges import check_ranges

ENCODER = EncoderConfig(width=96, layers=4, heads=4, head_width=24, hidden=256)
MOST = {"kernel": 1 << 8, "left": 1 << 10, "right": 1 << 10}


@dataclass(frozen=True)
class CASSNATConfig:
    """What a model is.

    Attributes:
        labels: tokens that it tells apart; what is said is a sequence of them.
        rate_hz: rate of the sound that it takes.
        window, hop: of the spectrogram, in samples.
        mels: bands of the spectrogram.
        encoder: blocks of the encoder, and the sizes of those of the decoders.
        kernel: frames that an encoder block's convolution sees, an odd number.
        acoustic: blocks that gather a token's acoustic embedding under the trigger mask.
        self_blocks: blocks of attention among tokens (the paper's SAD).
        mixed_blocks: blocks of attention among tokens and over all frames (the paper's MAD).
        autoregressive: blocks of the decoder that says one token after the other, the baseline and the judge of paths.
        left, right: frames by which a token's segment is widened.
    """

    labels: tuple[str, ...]
    rate_hz: int = 8000
    window: int = 256
    hop: int = 80
    mels: int = 40
    encoder: EncoderConfig = ENCODER
    kernel: int = 9
    acoustic: int = 1
    self_blocks: int = 2
    mixed_blocks: int = 1
    autoregressive: int = 3
    left: int = 1
    right: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        blocks = (self.acoustic, self.self_blocks, self.mixed_blocks, self.autoregressive)
        if (
            min(self.rate_hz, self.window, self.hop, self.mels, self.kernel, *blocks) < 1
            or min(self.left, self.right) < 0
        ):
            raise ConfigError(f"sizes are at least 1, and left and right at least 0; got {self.sizes}")
        if not self.labels or not all(self.labels) or len(set(self.labels)) < len(self.labels):
            raise ConfigError(f"labels are different and not empty; got {self.labels}")
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is odd, so that a frame stands in its middle; got {self.kernel}")
        if self.encoder.experts > 1 or self.encoder.shared:
            raise ConfigError(
                "the encoder's blocks are each their own, without experts: give experts: 1 and shared: false"
            )
        if self.encoder.width % 2:
            raise ConfigError(f"width is even, for sines and cosines of places; got {self.encoder.width}")
        if wrong := check_ranges(self):
            raise ConfigError(wrong)
        for name, most in MOST.items():
            if (value := getattr(self, name)) > most:
                raise ConfigError(f"{name} is at most {most:,}; got {value:,}")

    @property
    def sizes(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {**asdict(self), "labels": list(self.labels)}
