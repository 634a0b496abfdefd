"""A decoder's shape, read from its config: all that the cost model needs, and nothing of its code or weights.

D width, H heads and K key-value heads of width W, F width between the maps of a feed-forward, E experts of which A serve a token,
V vocabulary, N layers, T positions. A kind of model that is not here is refused by its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.errors import ModelError


@dataclass(frozen=True)
class Layer:
    """One block.

    Attributes:
        heads, kept, head: H, K and W.
        window: positions that it attends to at most; None for all.
        between: F, of one expert where it has experts.
        gated: whether the feed-forward has a gate, and so three maps in place of two.
        experts: E; 0 where the block has one feed-forward for all tokens.
        active: A.
        extra: numbers of its norms and biases, which are added or multiplied one by one.
    """

    heads: int
    kept: int
    head: int
    window: int | None
    between: int
    gated: bool
    experts: int
    active: int
    extra: int

    def attention_weights(self, width: int) -> int:
        """Return the weights of queries, keys, values and output: 2 D W (H + K)."""
        return 2 * width * self.head * (self.heads + self.kept)

    def expert_weights(self, width: int) -> int:
        """Return the weights of one feed-forward: 3 D F with a gate, 2 D F without."""
        return (3 if self.gated else 2) * width * self.between

    def router_weights(self, width: int) -> int:
        """Return the weights that choose experts: D E."""
        return width * self.experts

    def seen(self, context: int) -> int:
        """Return how many of some positions a token attends to."""
        return context if self.window is None else min(context, self.window)


@dataclass(frozen=True)
class Shape:
    """A decoder of blocks between an embedding table and a head.

    Attributes:
        vocabulary, width: V and D.
        positions: learned positions, each D wide; 0 for rotary ones, which have no weights.
        tied: whether the head is the embedding table.
        layers: its N blocks.
        extra: numbers of the last norm.
    """

    vocabulary: int
    width: int
    positions: int
    tied: bool
    layers: tuple[Layer, ...]
    extra: int

    @property
    def table(self) -> int:
        """Numbers of the embedding table, V D; the head has as many."""
        return self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """Numbers of all weights, a shared table once."""
        blocks = sum(
            layer.attention_weights(self.width)
            + max(layer.experts, 1) * layer.expert_weights(self.width)
            + layer.router_weights(self.width)
            + layer.extra
            for layer in self.layers
        )
        return blocks + self.table * (1 if self.tied else 2) + self.positions * self.width + self.extra

    @property
    def linear(self) -> int:
        """Weights that one token is multiplied with: of experts those that serve it, the head included."""
        blocks = sum(
            layer.attention_weights(self.width)
            + (layer.active if layer.experts else 1) * layer.expert_weights(self.width)
            + layer.router_weights(self.width)
            for layer in self.layers
        )
        return blocks + self.table

    def attended(self, context: int) -> int:
        """Return the operations of one query over `context` positions, all layers: 4 H W a position that a layer sees."""
        return sum(4 * layer.heads * layer.head * layer.seen(context) for layer in self.layers)

    def cached(self, context: int) -> int:
        """Return the numbers that the cache keeps of `context` positions: 2 K W a layer and position that it sees."""
        return sum(2 * layer.kept * layer.head * layer.seen(context) for layer in self.layers)


def shape_of(config: Any, name: str) -> Shape:
    """Return the shape of a transformers config.

    Args:
        config: transformers' config of a causal language model.
        name: what the user called it, for errors.

    Raises:
        ModelError: a kind of model, of layers or of weights that the formulas do not cover, by its name.
    """
    kind = str(config.model_type)
    if kind not in FAMILIES:
        raise ModelError(
            f"{name}: the cost model does not cover models of type {kind}; it covers {', '.join(FAMILIES)}"
        )
    if getattr(config, "quantization_config", None) is not None:
        method = dict(config.quantization_config).get("quant_method", "some method")
        raise ModelError(f"{name}: the cost model does not cover weights quantised by {method}, whose bytes are others")
    if getattr(config, "add_cross_attention", False):
        raise ModelError(f"{name}: the cost model does not cover cross-attention (add_cross_attention)")
    return FAMILIES[kind](config, name)


def _windows(config: Any, name: str) -> list[int | None]:
    """Return each layer's window."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    if kinds is None:
        return [window] * int(config.num_hidden_layers)
    if odd := [kind for kind in kinds if kind not in ("full_attention", "sliding_attention")]:
        raise ModelError(f"{name}: the cost model does not cover layers of type {odd[0]}")
    return [window if kind == "sliding_attention" else None for kind in kinds]


def _rotary(
    config: Any,
    name: str,
    *,
    norms: int = 2,
    head_norms: bool = False,
    biased: str = "",
    experts: Callable[[Any, int], tuple[int, int, int]] = lambda config, layer: (0, 0, int(config.intermediate_size)),
) -> Shape:
    """Return the shape of what Llama began: rotary positions, RMS norms, a gate, no biases unless the config says so.

    Args:
        config, name: as of `shape_of`.
        norms: norms of width D a block.
        head_norms: whether queries and keys are normed by two norms of width W.
        biased: which maps of attention always have biases: "qkv" or none.
        experts: config and place of a layer → its E, A and F.
    """
    width, heads = int(config.hidden_size), int(config.num_attention_heads)
    kept = int(getattr(config, "num_key_value_heads", None) or heads)
    head = int(getattr(config, "head_dim", None) or width // heads)
    own_bias = getattr(config, "attention_bias", False)
    biases = (heads + 2 * kept) * head if own_bias or biased == "qkv" else 0
    biases += width if own_bias and biased != "qkv" else 0
    layers = []
    for place, window in enumerate(_windows(config, name)):
        count, active, between = experts(config, place)
        extra = biases + norms * width + (2 * head if head_norms else 0)
        extra += 2 * between + width if getattr(config, "mlp_bias", False) else 0
        layers.append(Layer(heads, kept, head, window, between, True, count, active, extra))
    return Shape(int(config.vocab_size), width, 0, bool(config.tie_word_embeddings), tuple(layers), width)


def _mixtral(config: Any, layer: int) -> tuple[int, int, int]:
    return int(config.num_local_experts), int(config.num_experts_per_tok), int(config.intermediate_size)


def _qwen3_moe(config: Any, layer: int) -> tuple[int, int, int]:
    is_sparse = layer not in config.mlp_only_layers and (layer + 1) % config.decoder_sparse_step == 0
    if is_sparse and config.num_experts > 0:
        return int(config.num_experts), int(config.num_experts_per_tok), int(config.moe_intermediate_size)
    return 0, 0, int(config.intermediate_size)


def _gpt2(config: Any, name: str) -> Shape:
    """Return GPT-2's shape: learned positions, layer norms with biases, biases everywhere but in the head."""
    width, heads = int(config.n_embd), int(config.n_head)
    between = int(config.n_inner or 4 * width)
    extra = 3 * width + width + between + width + 4 * width
    layer = Layer(heads, heads, width // heads, None, between, False, 0, 0, extra)
    tied = bool(config.tie_word_embeddings)
    return Shape(
        int(config.vocab_size), width, int(config.n_positions), tied, (layer,) * int(config.n_layer), 2 * width
    )


def _gpt_neox(config: Any, name: str) -> Shape:
    """Return GPT-NeoX's shape: rotary positions, layer norms with biases, biases of attention unless the config says not."""
    width, heads, between = int(config.hidden_size), int(config.num_attention_heads), int(config.intermediate_size)
    extra = (4 * width if config.attention_bias else 0) + between + width + 4 * width
    layer = Layer(heads, heads, width // heads, None, between, False, 0, 0, extra)
    tied, count = bool(config.tie_word_embeddings), int(config.num_hidden_layers)
    return Shape(int(config.vocab_size), width, 0, tied, (layer,) * count, 2 * width)


FAMILIES: dict[str, Callable[[Any, str], Shape]] = {
    "gemma": _rotary,
    "gemma2": lambda config, name: _rotary(config, name, norms=4),
    "gemma3_text": lambda config, name: _rotary(config, name, norms=4, head_norms=True),
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": _rotary,
    "mistral": _rotary,
    "mixtral": lambda config, name: _rotary(config, name, experts=_mixtral),
    "phi3": _rotary,
    "qwen2": lambda config, name: _rotary(config, name, biased="qkv"),
    "qwen3": lambda config, name: _rotary(config, name, head_norms=True),
    "qwen3_moe": lambda config, name: _rotary(config, name, head_norms=True, experts=_qwen3_moe),
    "smollm3": _rotary,
}
"""`model_type` of a config → its shape, as the models' papers have it; held against transformers' classes at each use.

Windows and the cache are held in tests alone.
"""
