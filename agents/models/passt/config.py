"""Sizes of a PaSST and of the spectrogram that it hears. The defaults are for spoken digits; `official.py` has the paper's."""

from dataclasses import asdict, dataclass

from agents.errors import ConfigError
from agents.models.sounds.ranges import check_ranges


@dataclass(frozen=True)
class PaSSTConfig:
    """What a model is.

    Attributes:
        labels: that it tells apart.
        rate_hz: of the sound that it takes.
        transform, window, hop: of the spectrogram, in samples; the window lies in the middle of the transform.
        mels, top_hz: bands, and where the highest ends.
        frames: whose patches have positions; of the longest sound that is heard at once, unless `longest` says so.
        patch, stride: of the patches, in bands and frames alike; they overlap where the stride is smaller.
        width, depth, heads: of the transformer.
        longest: samples that are heard at once; 0 for as many as make `frames`.
        cut: whether a sound is heard as the published wrapper has it: a shorter one is not filled with silence but has fewer
            positions, the first; a longer one is heard in windows 2.5 s apart, its ends reflected.
        drop_times, drop_bands: structured patchout: how many columns and rows of patches are left out in training.
        drop_patches: unstructured patchout: how many of the rest are left out then.
    """

    labels: tuple[str, ...]
    rate_hz: int = 8000
    transform: int = 512
    window: int = 256
    hop: int = 80
    mels: int = 48
    top_hz: float = 3750.0
    frames: int = 80
    patch: int = 16
    stride: int = 8
    width: int = 64
    depth: int = 3
    heads: int = 4
    longest: int = 0
    cut: bool = False
    drop_times: int = 3
    drop_bands: int = 1
    drop_patches: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        if wrong := check_ranges(self):
            raise ConfigError(wrong)
        if self.longest < 0 or (self.longest and self.longest < self.shortest):
            raise ConfigError(f"longest is 0 or at least a patch, {self.shortest} samples; got {self.longest}")
        if min(self.rate_hz, self.window, self.hop, self.stride, self.depth, self.heads) < 1 or self.width % self.heads:
            raise ConfigError(f"sizes are at least 1 and width is a multiple of heads; got {self.sizes}")
        if self.window > self.transform or self.top_hz > self.rate_hz / 2:
            raise ConfigError(f"the window fits into the transform, and top_hz under half of rate_hz; got {self.sizes}")
        if min(self.mels, self.frames) < self.patch:
            raise ConfigError(f"a patch fits into mels and frames; got {self.sizes}")
        rows, columns = self.grid
        left = (rows - self.drop_bands) * (columns - self.drop_times) - self.drop_patches
        if min(self.drop_bands, self.drop_times, self.drop_patches) < 0 or self.drop_bands >= rows or left < 1:
            raise ConfigError(f"patchout leaves at least one of {rows} x {columns} patches; got {self.sizes}")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows (frequency) and columns (time) of patches."""
        return (self.mels - self.patch) // self.stride + 1, (self.frames - self.patch) // self.stride + 1

    @property
    def samples(self) -> int:
        """How many samples are heard at once."""
        return self.longest or (self.frames - 1) * self.hop + 1

    @property
    def shortest(self) -> int:
        """How many samples make a patch."""
        return (self.patch - 1) * self.hop + 1

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return {**asdict(self), "labels": list(self.labels)}
