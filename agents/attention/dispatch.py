"""The attention of a model of ours that its config names: its own, or one registered at transformers, which reads rows apart."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from agents.attention.row_attention import refuse_padding

# Names of attention that a model has where nobody asked for another.
OWN = (None, "eager", "sdpa")


def has_own(config: Any) -> bool:
    """Whether a model's config asks for no other attention than the model's own."""
    return config._attn_implementation in OWN


def heard_in(
    layer: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    what: str,
    own: Callable[[], Tensor],
) -> Tensor:
    """Return what new positions hear [B, Q, H, d].

    Args:
        layer: with the model's `config`, and `attend` for one row.
        query: [B, H, Q, d].
        key, value: [B, H, L, d], of all positions.
        mask: as transformers gives it.
        what: the layer's attention in words, for the error.
        own: returns what they hear by the layer's own attention, [B, H, Q, d].

    Raises:
        NotImplementedError: rows behind padding, by the layer's own attention.
    """
    if has_own(layer.config):
        refuse_padding(mask, what)
        return own().transpose(1, 2)
    # Whoever registered this name knows which rows are read, and calls `attend` for each.
    name: Any = layer.config._attn_implementation  # type: ignore[union-attr]
    heard: Tensor = ALL_ATTENTION_FUNCTIONS[name](layer, query, key, value, mask)[0]
    return heard
