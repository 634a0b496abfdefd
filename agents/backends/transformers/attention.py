"""Attention for decoding rows of different lengths: each row over its own keys, the cache never copied.

transformers' own `sdpa` repeats the keys and values of grouped-query models whenever there is a mask, i.e. it copies the
whole cache every step, and a masked batch adds every row up over the longest row's length, so that its last bits depend on
its neighbours. One query position needs no mask over its own keys, and the query heads that share a key head can be the
query rows of one call.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_by_row"


def attention_by_row(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    row_lengths: Sequence[int] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Return attention [B, Q, H, head].

    Args:
        module: the attention layer.
        query: [B, H, Q, head].
        key, value: [n, H_kv, L, head], H a multiple of H_kv, n <= B.
        attention_mask: [B, 1, Q, L], added to the scores; not read where row_lengths is given.
        scaling: of the scores.
        sliding_window: how many keys a query reaches back, where the layer has a window.
        row_lengths: n lengths of rows that decode one position each; rows from n on are padding and come out as 0.
    """
    if row_lengths is None:
        outcome: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, sliding_window=sliding_window, **kwargs
        )
        return outcome
    rows, heads, _, width = query.shape
    key_heads = key.shape[1]
    out = query.new_zeros(rows, 1, heads, value.shape[3])
    for row, length in enumerate(row_lengths):
        reach = slice(max(0, length - sliding_window) if sliding_window else 0, length)
        grouped = query[row].reshape(1, key_heads, heads // key_heads, width)
        heard = scaled_dot_product_attention(
            grouped, key[row : row + 1, :, reach], value[row : row + 1, :, reach], scale=scaling
        )
        out[row, 0] = heard.reshape(heads, -1)
    return out, None


def register() -> str:
    """Register the function with transformers and return the name to load a model with."""
    AttentionInterface.register(NAME, attention_by_row)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME
