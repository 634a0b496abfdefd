"""Telling where tokens stand (Zhai et al., 2022, arXiv:2207.07611, section 3).

Of every row some tokens are drawn as context. In every block all tokens ask, and those of the context alone are keys and values,
as the block before left them; a linear head then tells each token's place. Nothing else may tell it: there are no positions,
tokens are made each by itself, and padding is no key.

B batch, N tokens, P places.
"""

import torch
from torch import Tensor
from torch.nn import functional


def drawn_context(there: Tensor, masked: Tensor | float, generator: torch.Generator) -> Tensor:
    """Return which tokens [B, N] are context, drawn of those that are there.

    Args:
        there: [B, N] bool, at least one a row.
        masked: η, the share of a row's tokens that are none, of all rows or [B]; ⌊η n⌋ of n are left out, and never all of them.
        generator: of the draw.
    """
    count = there.sum(1)
    left_out = (torch.as_tensor(masked) * count).floor().long()
    kept = torch.maximum(count - left_out, torch.ones_like(count))
    draw = torch.rand(there.shape, generator=generator).masked_fill(~there, 2.0)
    rank = draw.argsort(1).argsort(1)
    return (rank < kept[:, None]) & there


def position_loss(scores: Tensor, there: Tensor) -> Tensor:
    """Return the mean cross-entropy, nats, of scores [B, N, P] with each token's own place, over tokens [B, N] that are there.

    Tokens stand in their order, from place 0; in a row of n tokens there are n places, and scores of others are not looked at.
    """
    places = torch.arange(scores.shape[1]).expand(there.shape)
    found: Tensor = functional.cross_entropy(within(scores, there)[there], places[there])
    return found


def within(scores: Tensor, there: Tensor) -> Tensor:
    """Return scores [B, N, P], −∞ at places that a row does not have, which has as many as it has tokens [B, N]."""
    beyond = torch.arange(scores.shape[-1]) >= there.sum(1)[:, None]
    return scores.masked_fill(beyond[:, None], -torch.inf)
