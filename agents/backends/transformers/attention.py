"""Attention for a decode batch: the queries that share a key head go in as one, so the cache is never copied.

transformers' own `sdpa` repeats the keys and values of grouped-query models whenever there is a mask, i.e. it copies the
whole cache every step. One query position has one mask row, so its heads can be query rows of their key head instead.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_grouped"


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Return attention [B, Q, H, head] as transformers' `sdpa` does, faster where Q = 1.

    Args:
        module: the attention layer.
        query: [B, H, Q, head].
        key, value: [B, H_kv, L, head], H a multiple of H_kv.
        attention_mask: [B, 1, Q, L], added to the scores.
        scaling: of the scores.
    """
    rows, heads, steps, width = query.shape
    key_heads = key.shape[1]
    if steps != 1 or attention_mask is None:
        outcome: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return outcome
    grouped = query.reshape(rows, key_heads, heads // key_heads, width)
    out = scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return out.reshape(rows, 1, heads, out.shape[-1]), None


def register() -> str:
    """Register the function with transformers and return the name to load a model with."""
    AttentionInterface.register(NAME, grouped_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME
