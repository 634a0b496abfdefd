"""A causal language model of transformers that may be told of positions in several ways: a Llama, and what says where it is.

What is said of positions takes the place of rotary angles (agents/models/seqpe/positions.py), once a forward pass. Everything
else is transformers' own, so that caches, masks and attention work as in any Llama.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaDecoderLayer,
    apply_rotary_pos_emb,
    eager_attention_forward,
)

from agents.errors import ConfigError
from agents.models.seqpe.encoder import SequentialEncoder, num_digits
from agents.models.seqpe.positions import KINDS, Places


class SeqPEConfig(LlamaConfig):  # type: ignore[misc]
    """A Llama's config and how it is told of positions.

    Attributes:
        positions: `seqpe`, or what it is compared with: `learned`, `sinusoidal`, `alibi`, `rotary`.
        reach: positions of which it is taught: rows of `learned`, and the digits of `seqpe`, which has every position of so many
            digits. `max_position_embeddings` is what is read of a text, and no more than there are positions.
        encoder_layers: blocks of `seqpe`'s encoder.
        encoder_dropout: in training.
    """

    model_type = "seqpe"
    base_model_tp_plan = None

    positions: Literal["seqpe", "learned", "sinusoidal", "alibi", "rotary"] = "seqpe"
    reach: int = 1024
    encoder_layers: int = 2
    encoder_dropout: float = 0.1

    def __post_init__(self, **kwargs: Any) -> None:
        if self.positions not in KINDS:
            raise ConfigError(f"positions are one of {', '.join(KINDS)}; got {self.positions!r}")
        if self.reach < 1 or self.encoder_layers < 1 or not 0 <= self.encoder_dropout < 1:
            raise ConfigError(
                "reach and encoder_layers are at least 1, and encoder_dropout is 0 or more and below 1; got "
                f"{self.reach}, {self.encoder_layers} and {self.encoder_dropout:g}"
            )
        most = {"seqpe": 10**self.digits, "learned": self.reach}.get(self.positions)
        if most is not None and self.max_position_embeddings > most:
            raise ConfigError(
                f"positions {self.positions} with reach {self.reach} are {most}; max_position_embeddings is no more, but "
                f"{self.max_position_embeddings}"
            )
        super().__post_init__(**kwargs)

    @property
    def digits(self) -> int:
        """Digits of a position."""
        return num_digits(self.reach)


class PlacedAttention(LlamaAttention):  # type: ignore[misc]
    """A Llama's attention, told of positions as `Places` says."""

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: Places,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what is heard [B, T, D]; see transformers' attention layers for the arguments."""
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        query, key, value = (
            part(hidden_states).view(shape).transpose(1, 2) for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        places = position_embeddings
        if places.turned is not None:
            query, key = apply_rotary_pos_emb(query, key, *places.turned)
        if places.query is not None and places.key is not None:
            query, key = (_beside(x, more) for x, more in ((query, places.query), (key, places.key)))
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attend: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        dropout = self.attention_dropout if self.training else 0.0
        heard, shares = attend(self, query, key, value, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs)
        return self.o_proj(heard.reshape(*hidden_states.shape[:-1], -1)), shares


class FirstBlock(LlamaDecoderLayer):  # type: ignore[misc]
    """A block whose input is added to by what is said of positions."""

    def forward(self, hidden_states: Tensor, *, position_embeddings: Places, **kwargs: Any) -> Tensor:
        """Return [B, T, D] of [B, T, D]; see transformers' Llama."""
        if position_embeddings.added is not None:
            hidden_states = hidden_states + position_embeddings.added
        found: Tensor = super().forward(hidden_states, position_embeddings=position_embeddings, **kwargs)
        return found


class SeqPEForCausalLM(LlamaForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = SeqPEConfig
    config: SeqPEConfig
    # Keys may be wider than values, which these do not take.
    _supports_flash_attn = _supports_flex_attn = False

    def __init__(self, config: SeqPEConfig) -> None:
        if config.num_attention_heads != config.num_key_value_heads or (
            config.head_dim * config.num_attention_heads != config.hidden_size
        ):
            raise ConfigError(
                "a SeqPE model's heads have keys of their own and are as wide together as its stream: num_key_value_heads is "
                f"num_attention_heads, and hidden_size {config.hidden_size} is head_dim times that"
            )
        super().__init__(config)
        layers = self.model.layers
        layers[0] = FirstBlock(config, 0)
        for place, layer in enumerate(layers):
            layer.self_attn = PlacedAttention(config, place)
        self.model.rotary_emb = KINDS[config.positions](config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Give a module the random weights that it begins with."""
        super()._init_weights(module)
        if isinstance(module, SequentialEncoder) and not getattr(module.end, "_is_hf_initialized", False):
            nn.init.normal_(module.end, std=self.config.initializer_range)


def _beside(x: Tensor, more: Tensor) -> Tensor:
    """Return [B, H, T, d + e] of [B, H, T, d] and [B or 1, T, H, e]."""
    more = more.transpose(1, 2).expand(len(x), -1, -1, -1)
    return torch.cat([x, more], -1)


AutoConfig.register("seqpe", SeqPEConfig)
AutoModelForCausalLM.register(SeqPEConfig, SeqPEForCausalLM)
