"""MemoryFormer as a causal language model of transformers: a Llama whose blocks have memory layers in place of projections.

A block: LayerNorm; queries, keys and values by three memory layers; attention with rotary positions, without a projection
behind it; LayerNorm; a memory layer to K (τ + e) numbers, LayerNorm, and one of τ + e bits back. The embedding and the head
stay dense. The norm between the two is ours: a hash is of little use on numbers that are not centred.

Everything around the projections is transformers' own, so that caches, masks and attention work as in any Llama.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from agents.errors import ConfigError
from agents.models.memoryformer.layer import MemoryLayer


class MemoryFormerConfig(LlamaConfig):  # type: ignore[misc]
    """A Llama's config and the sizes of its hashes; `intermediate_size` follows from them.

    Attributes:
        bits: τ of the layers that read the stream; `hidden_size` is a multiple of it.
        expanding_bits: e.
        temperature: t.
    """

    model_type = "memoryformer"
    base_model_tp_plan = None

    bits: int = 8
    expanding_bits: int = 2
    hash_temperature: float = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        if self.bits < 1 or self.hidden_size % self.bits or self.expanding_bits < 0:
            raise ConfigError(
                f"a MemoryFormer's hidden_size is a multiple of its bits; got {self.hidden_size}, {self.bits} and "
                f"{self.expanding_bits} expanding"
            )
        self.intermediate_size = self.hidden_size // self.bits * (self.bits + self.expanding_bits)
        super().__post_init__(**kwargs)


class MemoryBlock(nn.Module):
    """The feed-forward part: two memory layers, without an activation."""

    def __init__(self, config: MemoryFormerConfig) -> None:
        super().__init__()
        width, t = config.intermediate_size, config.hash_temperature
        self.up = MemoryLayer(config.hidden_size, width, config.bits, temperature=t, spread=1.0)
        self.norm = nn.LayerNorm(width)
        self.down = MemoryLayer(width, config.hidden_size, config.bits + config.expanding_bits, temperature=t)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] of [..., D]."""
        y: Tensor = self.down(self.norm(self.up(x)))
        return y


class MemoryFormerForCausalLM(LlamaForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = MemoryFormerConfig
    config: MemoryFormerConfig

    def __init__(self, config: MemoryFormerConfig) -> None:
        if config.num_attention_heads != config.num_key_value_heads or (
            config.head_dim * config.num_attention_heads != config.hidden_size
        ):
            raise ConfigError("a MemoryFormer's heads have keys of their own and are as wide together as its stream")
        super().__init__(config)
        width, t = config.hidden_size, config.hash_temperature
        for layer in self.model.layers:
            layer.input_layernorm, layer.post_attention_layernorm = nn.LayerNorm(width), nn.LayerNorm(width)
            for name in ("q_proj", "k_proj", "v_proj"):
                setattr(layer.self_attn, name, MemoryLayer(width, width, config.bits, temperature=t, spread=1.0))
            layer.self_attn.o_proj = nn.Identity()
            layer.mlp = MemoryBlock(config)
        self.model.norm = nn.LayerNorm(width)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Give a module the random weights that it begins with."""
        if isinstance(module, MemoryLayer):
            if not getattr(module.table, "_is_hf_initialized", False):
                module.reset()
        else:
            super()._init_weights(module)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the projections of one position and block, hashing left out; see `MemoryLayer`."""
        layers = [module for module in self.model.layers[0].modules() if isinstance(module, MemoryLayer)]
        return sum(layer.multiply_adds for layer in layers)


AutoConfig.register("memoryformer", MemoryFormerConfig)
AutoModelForCausalLM.register(MemoryFormerConfig, MemoryFormerForCausalLM)
