"""Models of the families that transforms know, of whose feed-forward layers each token keeps the k largest activations.

An architecture of its own for each family, since a standard config cannot say it. Weights have the names and the numbers of the
model that they are of.
"""

from typing import Any

from transformers import (
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

from agents.errors import ConfigError
from agents.transforms.topk.layer import PLACES, PRODUCT, TopKFeedForward

PREFIX = "topk_"


def _check(config: Any) -> None:
    if not 1 <= config.kept_units <= config.intermediate_size or config.kept_at not in PLACES:
        raise ConfigError(
            f"kept_units is from 1 to intermediate_size, {config.intermediate_size}, and kept_at one of {', '.join(PLACES)}; "
            f"got {config.kept_units} and {config.kept_at!r}"
        )


def _threshold(model: Any) -> None:
    """Put layers that keep the largest activations in place of a model's own; their maps are the same."""
    _check(model.config)
    for layer in model.model.layers:
        layer.mlp = TopKFeedForward(layer.mlp, model.config.kept_units, model.config.kept_at)


class TopKLlamaConfig(LlamaConfig):  # type: ignore[misc]
    """A Llama's config, and k: `kept_units`, at `kept_at` (see TopKFeedForward)."""

    model_type = "topk_llama"
    base_model_tp_plan = None

    kept_units: int = 1
    kept_at: str = PRODUCT


class TopKLlamaForCausalLM(LlamaForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = TopKLlamaConfig

    def __init__(self, config: TopKLlamaConfig) -> None:
        super().__init__(config)
        _threshold(self)


class TopKMistralConfig(MistralConfig):  # type: ignore[misc]
    """A Mistral's config, and k: `kept_units`, at `kept_at` (see TopKFeedForward)."""

    model_type = "topk_mistral"
    base_model_tp_plan = None

    kept_units: int = 1
    kept_at: str = PRODUCT


class TopKMistralForCausalLM(MistralForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = TopKMistralConfig

    def __init__(self, config: TopKMistralConfig) -> None:
        super().__init__(config)
        _threshold(self)


class TopKQwen2Config(Qwen2Config):  # type: ignore[misc]
    """A Qwen2's config, and k: `kept_units`, at `kept_at` (see TopKFeedForward)."""

    model_type = "topk_qwen2"
    base_model_tp_plan = None

    kept_units: int = 1
    kept_at: str = PRODUCT


class TopKQwen2ForCausalLM(Qwen2ForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = TopKQwen2Config

    def __init__(self, config: TopKQwen2Config) -> None:
        super().__init__(config)
        _threshold(self)


class TopKQwen3Config(Qwen3Config):  # type: ignore[misc]
    """A Qwen3's config, and k: `kept_units`, at `kept_at` (see TopKFeedForward)."""

    model_type = "topk_qwen3"
    base_model_tp_plan = None

    kept_units: int = 1
    kept_at: str = PRODUCT


class TopKQwen3ForCausalLM(Qwen3ForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = TopKQwen3Config

    def __init__(self, config: TopKQwen3Config) -> None:
        super().__init__(config)
        _threshold(self)


KINDS: dict[str, Any] = {
    "llama": TopKLlamaForCausalLM,
    "mistral": TopKMistralForCausalLM,
    "qwen2": TopKQwen2ForCausalLM,
    "qwen3": TopKQwen3ForCausalLM,
}
for _kind in KINDS.values():
    AutoConfig.register(_kind.config_class.model_type, _kind.config_class)
    AutoModelForCausalLM.register(_kind.config_class, _kind)
