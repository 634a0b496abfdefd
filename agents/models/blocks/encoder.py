"""An encoder of the family: blocks of their own, or one that serves every layer. B batch, N tokens, D width."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from agents.models.blocks.config import EncoderConfig, LayerSize, check_layers
from agents.models.blocks.hashed import HashedAttention
from agents.models.blocks.layers import Attention, Experts, FeedForward, Removed, Route

EPSILON = 1e-6


class Encoder(nn.Module):
    """x ← x + Attention(norm(x)), x ← x + FeedForward(norm(x)), layer after layer, and a norm at the end.

    Where the block is shared its maps are the same in every layer; norms then are each layer's own, or the same too.

    Args:
        config: of all layers.
        sizes: of each layer, where something was taken away from them; empty: as the config says.
    """

    def __init__(self, config: EncoderConfig, sizes: tuple[LayerSize, ...] = ()) -> None:
        super().__init__()
        self.config = config
        check_layers(config, sizes)
        blocks = 1 if config.shared else config.layers
        norms = config.layers if config.own_norms else 1
        attends = Attention if config.attention is None else HashedAttention
        self.attention = nn.ModuleList(attends(config) for _ in range(blocks))
        kind = Experts if config.experts > 1 else FeedForward
        self.feed_forward = nn.ModuleList(kind(config) for _ in range(blocks))
        self.before_attention, self.before_feed_forward = (
            nn.ModuleList(nn.LayerNorm(config.width, eps=EPSILON) for _ in range(norms)) for _ in range(2)
        )
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        for layer, size in enumerate(sizes):
            self._resize(layer, size)

    def _resize(self, layer: int, size: LayerSize) -> None:
        """Give a layer sizes of its own; what it has not goes with the norm before it."""
        if size.heads:
            config = replace(self.config, heads=size.heads)
            self.attention[layer] = Attention(config, keys=size.keys)
        else:
            self.attention[layer], self.before_attention[layer] = Removed(), nn.Identity()
        if size.hidden:
            self.feed_forward[layer] = FeedForward(replace(self.config, hidden=size.hidden))
        else:
            self.feed_forward[layer], self.before_feed_forward[layer] = Removed(), nn.Identity()

    def forward(
        self,
        x: Tensor,
        there: Tensor | None = None,
        *,
        context: Tensor | None = None,
        routes: list[Route] | None = None,
    ) -> Tensor:
        """Return states [B, N, D] of tokens [B, N, D].

        Args:
            x: tokens.
            there: [B, N] bool, which are no padding; all by default.
            context: [B, N] bool, which tokens are keys and values in every layer; those that are there by default.
            routes: a list to which each layer's route is appended, where there are experts.
        """
        seen = there if context is None else context if there is None else context & there
        for layer in range(self.config.layers):
            x = x + self._of(self.attention, layer)(self._of(self.before_attention, layer)(x), seen)
            h, part = self._of(self.before_feed_forward, layer)(x), self._of(self.feed_forward, layer)
            if isinstance(part, Experts):
                y, route = part(h, torch.ones(h.shape[:2], dtype=torch.bool) if there is None else there)
                x = x + y
                if routes is not None:
                    routes.append(route)
            else:
                x = x + part(h)
        found: Tensor = self.norm(x)
        return found

    @staticmethod
    def _of(parts: nn.ModuleList, layer: int) -> nn.Module:
        return parts[layer % len(parts)]
