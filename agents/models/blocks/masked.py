"""A masked language model of the family: tokens with learned positions, blocks, a head tied to the table.

B texts, T positions, D width, V rows of the table.
"""

import torch
from torch import Tensor, nn

from agents.models.blocks.encoder import Encoder
from agents.models.blocks.layers import Route

SPREAD = 0.1
"""Deviation of the vectors of tokens and places that it begins with."""


class MaskedEncoder(nn.Module):
    """A belief over tokens at every place of a text.

    Args:
        rows: V.
        longest: positions of a text.
        encoder: blocks.
    """

    def __init__(self, rows: int, longest: int, encoder: Encoder) -> None:
        super().__init__()
        width = encoder.config.width
        self.words, self.positions = nn.Embedding(rows, width), nn.Embedding(longest, width)
        for table in (self.words, self.positions):
            nn.init.normal_(table.weight, std=SPREAD)
        self.encoder = encoder
        self.bias = nn.Parameter(torch.zeros(rows))

    def inputs(self, tokens: Tensor) -> Tensor:
        """Return what the blocks read [B, T, D] of token numbers [B, T]."""
        found: Tensor = self.words(tokens) + self.positions.weight[: tokens.shape[1]]
        return found

    def states(self, tokens: Tensor, there: Tensor, routes: list[Route] | None = None) -> Tensor:
        """Return states [B, T, D] of token numbers [B, T], of which those are no padding that are there [B, T] bool."""
        found: Tensor = self.encoder(self.inputs(tokens), there, routes=routes)
        return found

    def scores(self, states: Tensor) -> Tensor:
        """Return the scores [..., V] of states [..., D]."""
        return states @ self.words.weight.T + self.bias
