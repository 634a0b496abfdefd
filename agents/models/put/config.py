"""Sizes of a PUT. The defaults are for pictures of 32 x 32; published ones have patches of 8, 512 and 512 codes and 30 blocks."""

from dataclasses import asdict, dataclass

from agents.errors import ConfigError

MOST = {"side": 1 << 12, "patch": 1 << 6, "codes": 1 << 16, "hidden_codes": 1 << 16, "blocks": 64, "depth": 64}
WIDEST = 1 << 13


@dataclass(frozen=True)
class PUTConfig:
    """What a model is.

    Attributes:
        side: of the square picture, in pixels.
        patch: side of a patch, a power of two; patches do not overlap.
        codes: vectors of the codebook for patches that are wholly known; what is believed is over them.
        hidden_codes: vectors for patches of which a pixel is hidden; 0 where one codebook serves both.
        code_width: numbers of such a vector.
        features: width of encoder and decoder.
        blocks: linear residual blocks of the encoder.
        decoder_blocks: residual blocks of the decoder.
        base: channels of the decoder at full resolution; twice as many at each halving.
        width, depth, heads: of the transformer.
        quantised: whether the transformer reads codebook vectors in place of features, the paper's baseline.
    """

    side: int = 32
    patch: int = 4
    codes: int = 128
    hidden_codes: int = 32
    code_width: int = 32
    features: int = 64
    blocks: int = 3
    decoder_blocks: int = 2
    base: int = 16
    width: int = 64
    depth: int = 3
    heads: int = 4
    quantised: bool = False

    def __post_init__(self) -> None:
        given = {name: value for name, value in asdict(self).items() if name not in ("quantised", "hidden_codes")}
        if min(given.values()) < 1 or self.hidden_codes < 0 or self.codes < 2:
            raise ConfigError(f"sizes are at least 1, codes at least 2 and hidden_codes at least 0; got {self.sizes}")
        if wrong := [name for name in given if given[name] > MOST.get(name, WIDEST)] or (
            self.hidden_codes > MOST["hidden_codes"] and ["hidden_codes"]
        ):
            name = wrong[0]
            raise ConfigError(f"{name} is at most {MOST.get(name, WIDEST):,}; got {getattr(self, name):,}")
        if self.patch < 2 or self.patch & (self.patch - 1) or self.side % self.patch:
            raise ConfigError(
                f"patch is a power of two, at least 2, and side a multiple of it; got {self.patch} and {self.side}"
            )
        if self.width % self.heads or self.features % 2:
            raise ConfigError(f"width is a multiple of heads and features even; got {self.sizes}")

    @property
    def row(self) -> int:
        """Patches in a row."""
        return self.side // self.patch

    @property
    def count(self) -> int:
        """N, the patches of a picture."""
        return self.row**2

    @property
    def sizes(self) -> dict[str, object]:
        """The fields as JSON values."""
        return asdict(self)
