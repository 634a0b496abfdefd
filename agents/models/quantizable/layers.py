"""Blocks whose attention clips and gates, and which round what they compute at the places where the published code does.

B texts, H heads, L positions that are cached or new, Q of them new, d width of a head, D width of the stream.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, apply_rotary_pos_emb

from agents.attention.clipped import clipped_shares
from agents.attention.dispatch import has_own
from agents.attention.row_attention import RowAttention, seen_by, visible
from agents.models.quantizable.gate import Gate
from agents.transforms.ptq.places import Rounded, RoundedLayerNorm, RoundedLinear


class QuantizableAttention(nn.Module, RowAttention):
    """Causal attention with rotary positions, a softmax that may be clipped, and gates that may be there.

    Args:
        config: of the model.
        layer_idx: number of the block.
    """

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx, self.width = config, layer_idx, config.head_dim
        self.repeats = config.num_attention_heads // config.num_key_value_heads
        self.scaling = self.width**-0.5
        bias, bits, stream = config.attention_bias, config.activation_bits, config.hidden_size
        inner, keys = config.num_attention_heads * self.width, config.num_key_value_heads * self.width
        self.q_proj = RoundedLinear(stream, inner, bias=bias, bits=bits)
        self.k_proj, self.v_proj = (RoundedLinear(stream, keys, bias=bias, bits=bits) for _ in range(2))
        self.o_proj = RoundedLinear(inner, stream, bias=bias, bits=bits)
        self.scores_at, self.shares_at, self.heard_at = (Rounded(bits) for _ in range(3))
        self.gate = None if config.gate == "none" else Gate(config)

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """Return what is heard [B, Q, D]; see transformers' attention layers for the arguments."""
        query, key, value = (
            each(hidden_states).unflatten(-1, (-1, self.width)).transpose(1, 2)
            for each in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        if has_own(self.config):
            key, value = (each.repeat_interleave(self.repeats, 1) for each in (key, value))
            seen = seen_by(attention_mask, query.shape[2], key.shape[2], query.device)
            heard = self._read(query, key, value, seen, self.scaling).transpose(1, 2)
        else:
            # Whoever registered this name knows which rows are read, and calls `attend` for each.
            name = self.config._attn_implementation
            heard, _ = ALL_ATTENTION_FUNCTIONS[name](self, query, key, value, attention_mask, scaling=self.scaling)
        if self.gate is not None:
            heard = heard * self.gate(hidden_states)
        return self.o_proj(heard.flatten(2)), None

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scaling: float,
        layer: int,
        queries: Tensor | None = None,
    ) -> Tensor:
        """Return what the last positions of one row hear [H, Q, d], before the gates; see `RowAttention`."""
        return self._read(query, key, value, visible(query.shape[1], key.shape[1], query.device), scaling)

    def _read(self, query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scaling: float) -> Tensor:
        """Return what queries [..., H, Q, d] hear of keys and values [..., H, L, d] that they see [..., Q, L]."""
        wide = torch.promote_types(query.dtype, torch.float32)
        scores = self.scores_at(scaling * (query.to(wide) @ key.to(wide).mT))
        # Not −inf: a row behind padding may see nothing, and is read by nobody.
        scores = scores.masked_fill(~seen, torch.finfo(wide).min)
        shares = self.shares_at(clipped_shares(scores, self.config.gamma, self.config.zeta))
        heard: Tensor = self.heard_at(shares @ value.to(wide))
        return heard.to(value.dtype)


class FeedForward(nn.Module):
    """Two maps, and what is between them."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.between = ACT2FN[config.hidden_act]
        self.between_at = Rounded(config.activation_bits)
        self.down_proj = RoundedLinear(config.intermediate_size, config.hidden_size, bits=config.activation_bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] of [..., D]."""
        found: Tensor = self.down_proj(self.between_at(self.between(self.up_proj(x))))
        return found


class QuantizableBlock(LlamaDecoderLayer):  # type: ignore[misc]
    """A block with its norms behind each sum, or before each part.

    Args:
        config: of the model.
        layer_idx: number of the block; the first rounds what it is given.
    """

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        bits, eps = config.activation_bits, config.rms_norm_eps
        self.post_norm = config.post_norm
        self.self_attn, self.mlp = QuantizableAttention(config, layer_idx), FeedForward(config)
        self.input_layernorm, self.post_attention_layernorm = (
            RoundedLayerNorm(config.hidden_size, eps=eps, bits=bits) for _ in range(2)
        )
        self.given_at = Rounded(bits) if layer_idx == 0 else None
        self.heard_sum_at, self.sum_at = Rounded(bits), Rounded(bits)

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> Tensor:
        """Return [B, Q, D] of [B, Q, D]; see transformers' Llama."""
        x: Tensor = hidden_states if self.given_at is None else self.given_at(hidden_states)
        first, second = self.input_layernorm, self.post_attention_layernorm
        if self.post_norm:
            x = first(self.heard_sum_at(x + self.self_attn(x, **kwargs)[0]))
            x = second(self.sum_at(x + self.mlp(x)))
        else:
            x = self.heard_sum_at(x + self.self_attn(first(x), **kwargs)[0])
            x = self.sum_at(x + self.mlp(second(x)))
        return x
