"""A causal language model of transformers whose heads can do nothing (Quantizable Transformers, arXiv:2306.12929).

A head that wants to hear nothing has to put its shares on tokens without a meaning, needs ever larger scores for that, and large
numbers grow in the feed-forward parts where such tokens are read: outliers, which make one range for a whole tensor coarse. A
clipped softmax and gates let a head hear nothing at small scores. Blocks are those of the published code's OPT: LayerNorms behind
each sum (as OPT-350m and BERT have them; `post_norm: false` puts them before each part), biases, two maps with a ReLU between
them. Positions are rotary here, and what is around the blocks is transformers' Llama.

γ = −alpha / trained_length stays with the model: at inference a text may have any length.
"""

import math
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from agents.attention.clipped import check_clipping
from agents.errors import ConfigError
from agents.models.quantizable.gate import KINDS, Gate
from agents.models.quantizable.layers import QuantizableBlock
from agents.transforms.ptq.places import RoundedLayerNorm
from agents.transforms.ptq.transform import check_bits


class QuantizableConfig(LlamaConfig):  # type: ignore[misc]
    """A Llama's config, and how its heads may hear nothing.

    Attributes:
        alpha: of γ = −alpha / trained_length; 0 with a zeta of 1 is the softmax itself.
        zeta: ζ of the clipped softmax.
        trained_length: positions of a row in training.
        gate: `none`; `linear` or `mlp`, of a head's slice of what a block reads; `all`, of all of it.
        gate_start: what every gate begins near.
        gate_rescaled: whether what gates let through is divided by that, for a model that was trained without.
        post_norm: whether norms stand behind each sum, or before each part.
        weight_bits, activation_bits: what it was rounded to after training; None: it was not.
    """

    model_type = "quantizable"
    base_model_tp_plan = None

    hidden_act: str = "relu"
    attention_bias: bool = True
    rms_norm_eps: float = 1e-5
    alpha: float = 0.0
    zeta: float = 1.0
    trained_length: int = 128
    gate: str = "none"
    gate_start: float = 0.25
    gate_rescaled: bool = False
    post_norm: bool = True
    weight_bits: int | None = None
    activation_bits: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if not (0 <= self.alpha < math.inf) or self.trained_length < 1:
            raise ConfigError(
                "a quantizable model's alpha is at least 0, which is no clipping, and its trained_length at least 1; got "
                f"{self.alpha:g} and {self.trained_length}"
            )
        check_clipping(self.gamma, self.zeta)
        if self.gate not in KINDS:
            raise ConfigError(f"a quantizable model's gate is one of {', '.join(KINDS)}; got {self.gate!r}")
        if not 0 < self.gate_start < 1:
            raise ConfigError(f"a quantizable model's gate_start is between 0 and 1; got {self.gate_start:g}")
        if (self.weight_bits is None) != (self.activation_bits is None):
            raise ConfigError("a quantizable model has both weight_bits and activation_bits, or neither")
        if self.weight_bits is not None and self.activation_bits is not None:
            check_bits(self.weight_bits, self.activation_bits)
        super().__post_init__(**kwargs)

    @property
    def gamma(self) -> float:
        """γ of the clipped softmax."""
        return -self.alpha / self.trained_length


class QuantizableForCausalLM(LlamaForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = QuantizableConfig
    config: QuantizableConfig
    # Nothing that computes attention can stand in for shares that are clipped and rounded.
    _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = False

    def __init__(self, config: QuantizableConfig) -> None:
        if config.hidden_size % config.num_attention_heads:
            raise ConfigError(
                "a quantizable model's width is a multiple of its heads, each of which has a slice of it; got hidden_size "
                f"{config.hidden_size} and {config.num_attention_heads} heads"
            )
        super().__init__(config)
        self.model.layers = nn.ModuleList(QuantizableBlock(config, place) for place in range(config.num_hidden_layers))
        self.model.norm = (
            nn.Identity()
            if config.post_norm
            else RoundedLayerNorm(config.hidden_size, eps=config.rms_norm_eps, bits=config.activation_bits)
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Give a module the random weights that it begins with."""
        if isinstance(module, Gate):
            if not getattr(module.weight, "_is_hf_initialized", False):
                module.reset()
        else:
            super()._init_weights(module)


AutoConfig.register("quantizable", QuantizableConfig)
AutoModelForCausalLM.register(QuantizableConfig, QuantizableForCausalLM)
