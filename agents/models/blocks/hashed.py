"""A layer of an encoder that attends by EcoFormer's codes. B batch, N tokens, D width, H heads, d width of a head."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from agents.attention.hashing import Hash, Learning
from agents.attention.options import encoder_attention_of
from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig


class HashedAttention(nn.Module):
    """Every token asks and tokens answer that are keys; queries and keys are one map, so that one hash serves both."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        assert config.attention is not None
        self.kind = encoder_attention_of(config.attention)
        inner, self.heads = config.heads * config.head_width, config.heads
        self.k, self.v = (nn.Linear(config.width, inner) for _ in range(2))
        self.out = nn.Linear(inner, config.width)
        self.hash = Hash(config.heads, config.head_width, bits=self.kind.bits, anchors=self.kind.anchors)

    def forward(self, x: Tensor, keys: Tensor | None = None) -> Tensor:
        """Return [B, N, D] of [B, N, D]; see `agents.models.blocks.layers.Attention`."""
        codes = self.hash(self.of_heads(self.k, x), keys)
        heard = self.kind.attend(codes, self.of_heads(self.v, x), None if keys is None else keys[:, None])
        found: Tensor = self.out(heard.transpose(1, 2).flatten(2))
        return found

    def of_heads(self, part: nn.Module, x: Tensor) -> Tensor:
        """Return what a map makes of tokens, by heads [B, H, N, d]."""
        found: Tensor = part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return found

    def exchange(self, attention: str) -> None:
        """Attend in another way over the same hashes, e.g. by `ecoformer(official_numerator=true)`.

        Raises:
            ConfigError: an attention of other hashes.
        """
        kind, own = encoder_attention_of(attention), self.kind
        if (kind.bits, kind.anchors) != (own.bits, own.anchors):
            raise ConfigError(
                f"attention {attention!r} has {kind.bits} bits and {kind.anchors} anchors, and this checkpoint's hashes have "
                f"{own.bits} and {own.anchors}: write ecoformer(bits={own.bits}, anchors={own.anchors})"
            )
        self.kind = kind


@torch.no_grad()
def learn_hashes(
    model: nn.Module,
    read: Callable[[], object],
    learning: Learning,
    generator: torch.Generator,
    *,
    bits: bool = True,
) -> None:
    """Learn the hash of every layer of a model from its own keys; a layer reads what the hashes before it leave.

    Args:
        model: with layers of `HashedAttention`.
        read: lets the model read texts once.
        learning, generator, bits: see `Hash.learn`.
    """

    def learn(layer: Any, given: tuple[Any, ...]) -> None:
        x, keys = given
        there = torch.ones(x.shape[:2], dtype=torch.bool) if keys is None else keys
        layer.hash.learn(layer.of_heads(layer.k, x), there, learning, generator, bits=bits)

    layers = [each for each in model.modules() if isinstance(each, HashedAttention)]
    handles = [each.register_forward_pre_hook(learn) for each in layers]
    try:
        read()
    finally:
        for handle in handles:
            handle.remove()
