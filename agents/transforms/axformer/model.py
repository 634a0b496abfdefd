"""Models of the families that transforms know, of which the attention of some layers is hard.

An architecture of its own for each family, since a standard config cannot say it. Weights have the names and the numbers of the
model that they are of.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaAttention
from transformers.models.mistral.modeling_mistral import MistralAttention
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

from agents.attention.dispatch import has_own
from agents.attention.hard import hard_heard, hard_shares
from agents.attention.row_attention import RowAttention, seen_by
from agents.errors import ConfigError

NAME = "hard_shares"


class HardAttention(RowAttention):
    """What a layer's attention becomes, beside what it is: `kept_keys`, and `asked`, the config that says who computes it."""

    kept_keys: int
    asked: Any

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
        """See RowAttention."""
        return hard_heard(query, key, value, scaling=scaling, keys=self.kept_keys)


class HardLlamaAttention(LlamaAttention, HardAttention):  # type: ignore[misc]
    """See HardAttention."""


class HardMistralAttention(MistralAttention, HardAttention):  # type: ignore[misc]
    """See HardAttention."""


class HardQwen2Attention(Qwen2Attention, HardAttention):  # type: ignore[misc]
    """See HardAttention."""


class HardQwen3Attention(Qwen3Attention, HardAttention):  # type: ignore[misc]
    """See HardAttention."""


KINDS: dict[type[nn.Module], type[nn.Module]] = {
    LlamaAttention: HardLlamaAttention,
    MistralAttention: HardMistralAttention,
    Qwen2Attention: HardQwen2Attention,
    Qwen3Attention: HardQwen3Attention,
}
PLAIN = {hard: plain for plain, hard in KINDS.items()}


def harden(attention: Any, keys: int) -> None:
    """Make the attention of a layer hard, its maps staying as they are; 0 makes it what it was."""
    if type(attention) in PLAIN:
        attention.config = attention.asked
        attention.__class__ = PLAIN[type(attention)]
    if keys:
        attention.asked, attention.kept_keys = attention.config, keys
        attention.__class__ = KINDS[type(attention)]
        # Asked for by name, as transformers' own attentions are; who computes it is still what the model's config says.
        attention.config = copy.copy(attention.config)
        attention.config._attn_implementation = NAME


def _heard(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Return what new positions hear [B, Q, H, D]; see transformers' attention functions for the arguments."""
    if not has_own(module.asked):
        # Whoever registered this name knows which rows are read, and calls `attend` for each.
        given = ALL_ATTENTION_FUNCTIONS[module.asked._attn_implementation]
        heard: tuple[Tensor, None] = given(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        return heard
    repeats = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(repeats, 1) for each in (key, value))
    wide = torch.promote_types(query.dtype, torch.float32)
    scores = (query.shape[-1] ** -0.5 if scaling is None else scaling) * (query.to(wide) @ key.to(wide).mT)
    seen = seen_by(attention_mask, query.shape[2], key.shape[2], query.device)
    # Not −inf: a row behind padding may see nothing, and is read by nobody.
    shares = hard_shares(scores.masked_fill(~seen, torch.finfo(wide).min), module.kept_keys)
    return (shares @ value.to(wide)).to(value.dtype).transpose(1, 2), None


def check_keys(config: Any) -> None:
    """Raise ConfigError where a config does not say for each layer how many positions a query hears."""
    keys = config.hard_keys
    if not isinstance(keys, list | tuple) or len(keys) != config.num_hidden_layers or any(each < 0 for each in keys):
        raise ConfigError(
            f"hard_keys says for each of {config.num_hidden_layers} layers how many positions a query hears, 0 for all; got "
            f"{keys}"
        )


def _harden(model: Any) -> None:
    check_keys(model.config)
    for layer, keys in zip(model.model.layers, model.config.hard_keys, strict=True):
        harden(layer.self_attn, keys)


class HardLlamaConfig(LlamaConfig):  # type: ignore[misc]
    """A Llama's config, and `hard_keys`: of each layer K, or 0 where its attention is not hard."""

    model_type = "hard_llama"
    base_model_tp_plan = None

    hard_keys: list[int] | tuple[int, ...] = ()


class HardLlamaForCausalLM(LlamaForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = HardLlamaConfig

    def __init__(self, config: HardLlamaConfig) -> None:
        super().__init__(config)
        _harden(self)


class HardMistralConfig(MistralConfig):  # type: ignore[misc]
    """A Mistral's config, and `hard_keys`: of each layer K, or 0 where its attention is not hard."""

    model_type = "hard_mistral"
    base_model_tp_plan = None

    hard_keys: list[int] | tuple[int, ...] = ()


class HardMistralForCausalLM(MistralForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = HardMistralConfig

    def __init__(self, config: HardMistralConfig) -> None:
        super().__init__(config)
        _harden(self)


class HardQwen2Config(Qwen2Config):  # type: ignore[misc]
    """A Qwen2's config, and `hard_keys`: of each layer K, or 0 where its attention is not hard."""

    model_type = "hard_qwen2"
    base_model_tp_plan = None

    hard_keys: list[int] | tuple[int, ...] = ()


class HardQwen2ForCausalLM(Qwen2ForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = HardQwen2Config

    def __init__(self, config: HardQwen2Config) -> None:
        super().__init__(config)
        _harden(self)


class HardQwen3Config(Qwen3Config):  # type: ignore[misc]
    """A Qwen3's config, and `hard_keys`: of each layer K, or 0 where its attention is not hard."""

    model_type = "hard_qwen3"
    base_model_tp_plan = None

    hard_keys: list[int] | tuple[int, ...] = ()


class HardQwen3ForCausalLM(Qwen3ForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = HardQwen3Config

    def __init__(self, config: HardQwen3Config) -> None:
        super().__init__(config)
        _harden(self)


MODELS: dict[str, Any] = {
    "llama": HardLlamaForCausalLM,
    "mistral": HardMistralForCausalLM,
    "qwen2": HardQwen2ForCausalLM,
    "qwen3": HardQwen3ForCausalLM,
}
AttentionInterface.register(NAME, _heard)
for _kind in MODELS.values():
    AutoConfig.register(_kind.config_class.model_type, _kind.config_class)
    AutoModelForCausalLM.register(_kind.config_class, _kind)
