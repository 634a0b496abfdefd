"""Sizes and choices of an encoder."""

from dataclasses import asdict, dataclass

from agents.attention.options import encoder_attention_of
from agents.errors import ConfigError


@dataclass(frozen=True)
class EncoderConfig:
    """An encoder of pre-norm blocks.

    Attributes:
        width: d, of a token.
        layers: L, how many blocks a token goes through.
        heads: h, of each layer.
        head_width: d_h; h · d_h need not be d, and is more where an encoder is wide in place of deep.
        hidden: d_ff, of a feed-forward layer; where there are experts, of each of them.
        experts: E; 1 for one feed-forward layer that serves every token.
        chosen: K, how many experts serve a token.
        shared: whether one block's maps serve all layers (ALBERT, WideNet).
        own_norms: whether each layer of a shared block has norms of its own (WideNet); without, they are shared as well (ALBERT).
        twice: whether GELU stands behind both maps of a feed-forward layer, as in WideNet's published code, or the first alone.
        capacity: share of the tokens that an expert has room for in training, over K / E; without, it serves all that choose it.
        attention: in place of a softmax, e.g. `ecoformer(bits=16, anchors=25)` (docs/attention.md).

    Raises:
        ConfigError: sizes that do not fit together.
    """

    width: int = 64
    layers: int = 6
    heads: int = 4
    head_width: int = 16
    hidden: int = 256
    experts: int = 1
    chosen: int = 1
    shared: bool = False
    own_norms: bool = True
    twice: bool = False
    capacity: float | None = None
    attention: str | None = None

    def __post_init__(self) -> None:
        sizes = (self.width, self.layers, self.heads, self.head_width, self.hidden, self.experts, self.chosen)
        if min(sizes) < 1:
            raise ConfigError(f"an encoder's sizes are at least 1; got {self.sizes}")
        if self.chosen > self.experts:
            raise ConfigError(f"a token is served by at most all experts; got chosen {self.chosen} of {self.experts}")
        if not self.own_norms and not self.shared:
            raise ConfigError("norms are shared where the block is: own_norms: false goes with shared: true")
        if self.capacity is not None and not (self.experts > 1 and self.capacity > 0):
            raise ConfigError(f"a capacity is above 0, and of several experts; got {self.capacity} of {self.experts}")
        if self.attention is not None:
            encoder_attention_of(self.attention)
            if self.shared:
                raise ConfigError(
                    f"{self.attention} has hashes of each layer's own keys, which a shared block has not: give shared: false"
                )

    @property
    def sizes(self) -> dict[str, object]:
        """The fields as JSON values."""
        return asdict(self)


def aspect_ratio(total_heads: int, layers: int, *, width: int, head_width: int, hidden: int) -> EncoderConfig:
    """Return the encoder of so many layers that shares a number of heads out among them (Brown et al., 2022, arXiv:2210.00640).

    Fewer layers have more heads each; width, head width and hidden stay, so that attention costs the same at every aspect ratio,
    while feed-forward layers and norms are as many as layers.

    Args:
        total_heads: L · h, a multiple of the layers.
        layers: L.
        width, head_width, hidden: d, d_h and d_ff, of every aspect ratio alike.

    Raises:
        ConfigError: heads that cannot be shared out evenly.
    """
    if layers < 1 or total_heads < layers or total_heads % layers:
        raise ConfigError(f"heads are shared out evenly among layers; got {total_heads} heads and {layers} layers")
    return EncoderConfig(width, layers, total_heads // layers, head_width, hidden)


@dataclass(frozen=True)
class LayerSize:
    """Sizes of one layer of an encoder whose layers are not alike, as something was taken away from them.

    Attributes:
        heads: of its attention; 0: it has none, nor the norm before it.
        hidden: units of its feed-forward layer; 0: it has none, nor the norm before it.
        keys: K, tokens that a query hears at most (hard attention, AxFormer, arXiv:2010.03688); 0: all.

    Raises:
        ConfigError: a size below 0, or keys where there is no attention.
    """

    heads: int
    hidden: int
    keys: int = 0

    def __post_init__(self) -> None:
        if min(self.heads, self.hidden, self.keys) < 0 or (self.keys and not self.heads):
            raise ConfigError(
                "a layer has 0 heads and units or more, and keys where it has heads; got "
                f"{self.heads} heads, {self.hidden} units and {self.keys} keys"
            )


def check_layers(config: EncoderConfig, layers: tuple[LayerSize, ...]) -> None:
    """Raise ConfigError for sizes that are not one a layer, or of an encoder whose layers share a block or have experts."""
    if not layers:
        return
    if config.shared or config.experts > 1:
        raise ConfigError(
            "layers have sizes of their own where none is shared and each has one feed-forward layer: shared: false, experts: 1"
        )
    if len(layers) != config.layers or any(each.heads > config.heads or each.hidden > config.hidden for each in layers):
        raise ConfigError(
            f"there are sizes of each of {config.layers} layers, at most {config.heads} heads and {config.hidden} units; got "
            f"{layers}"
        )
