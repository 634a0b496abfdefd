"""A causal language model of transformers that reads windows: a Llama whose attention ends at its window's beginning.

With `recurrent`, one block also attends to a vector of all windows before (agents/models/recurrence/layers.py). Without it a
window knows nothing of those before, which is the model that it is compared with. The feed-forward parts, the norms and the head
are transformers' own.

The vectors are a function of what the block's cache has of earlier positions, computed of whole windows alone, so that they are
the same, number for number, whatever was cached, and whichever cache of keys and values holds it.
"""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from agents.errors import ConfigError
from agents.models.recurrence.layers import RecurrenceMap, RecurrentAttention, RecurrentBlock, WindowAttention


class RecurrenceConfig(LlamaConfig):  # type: ignore[misc]
    """A Llama's config and what its windows are.

    Attributes:
        window: w, positions.
        recurrent: whether windows hear of those before.
        inserted: a, the block that attends to the vector.
        pooled: b, the block whose states are averaged; a or a later one, so that a vector tells of all windows before.
        truncated: windows after which gradients are cut.
    """

    model_type = "recurrence"
    base_model_tp_plan = None

    window: int = 32
    recurrent: bool = True
    inserted: int = 1
    pooled: int = 1
    truncated: int = 4

    def __post_init__(self, **kwargs: Any) -> None:
        if self.window < 1 or self.truncated < 1:
            raise ConfigError(
                "a recurrent model's window and the windows after which gradients are cut are at least 1; got "
                f"{self.window} and {self.truncated}"
            )
        if not 0 <= self.inserted <= self.pooled < self.num_hidden_layers:
            raise ConfigError(
                "a recurrent model's vector is of states behind the block that hears it or a later one: 0 <= inserted <= pooled "
                f"< num_hidden_layers; got {self.inserted}, {self.pooled} and {self.num_hidden_layers}"
            )
        super().__post_init__(**kwargs)


class RecurrenceForCausalLM(LlamaForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = RecurrenceConfig
    config: RecurrenceConfig
    # Nothing that computes attention can stand in for windows; what goes by a name of transformers' own is computed here.
    _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = False
    # Its blocks read earlier windows again, apart from the rows that adapters are told of.
    takes_adapters = False

    def __init__(self, config: RecurrenceConfig) -> None:
        if config.num_attention_heads != config.num_key_value_heads or (
            config.head_dim * config.num_attention_heads != config.hidden_size
        ):
            raise ConfigError(
                "a recurrent model's heads have keys of their own and are as wide together as its stream: num_key_value_heads is "
                f"num_attention_heads, and hidden_size {config.hidden_size} is head_dim times that"
            )
        super().__init__(config)
        layers = self.model.layers
        for place, layer in enumerate(layers):
            layer.self_attn = WindowAttention(config, place)
        if config.recurrent:
            layers[config.inserted] = RecurrentBlock(config, config.inserted)
            blocks = list(layers[config.inserted : config.pooled + 1])
            layers[config.inserted].self_attn = RecurrentAttention(config, config.inserted, blocks)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Give a module the random weights that it begins with."""
        if isinstance(module, RecurrenceMap):
            if not getattr(module.weight, "_is_hf_initialized", False):
                module.reset()
        else:
            super()._init_weights(module)


AutoConfig.register("recurrence", RecurrenceConfig)
AutoModelForCausalLM.register(RecurrenceConfig, RecurrenceForCausalLM)
