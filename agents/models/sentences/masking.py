"""Masked tokens to train a language model on (Devlin et al., 2019). B texts, T positions."""

import torch
from torch import Tensor

MASKED = 0.15
"""The share of tokens that is asked for."""


def masked(tokens: Tensor, special: Tensor, mask: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return tokens as they are shown [B, T], and what is asked for [B, T], -100 where nothing is; one token at least is."""
    can = ~torch.isin(tokens, special)
    draw = torch.rand(tokens.shape, generator=generator).masked_fill(~can, 2.0)
    asked = (draw < MASKED) | (draw == draw.min()) & can
    fate = torch.rand(tokens.shape, generator=generator)
    drawn = torch.randint(size, tokens.shape, generator=generator)
    shown = torch.where(asked & (fate < 0.8), torch.full_like(tokens, mask), tokens)
    shown = torch.where(asked & (fate >= 0.9), drawn, shown)
    return shown, tokens.masked_fill(~asked, -100)
