"""The in-context learner: a GPT over x1, y1, x2, y2, …, which gives P(y = +1) at every x (Bhattamishra et al., 2024).

As in the paper's code, x and y enter by one linear map, y padded with zeros to the width of x. Ours are the sizes.
B functions, K points, n dimensions, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.errors import RequestError
from agents.models.discrete_functions.config import LearnerConfig


class Block(nn.Module):
    """Causal self-attention and an MLP, each after a layer norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor) -> Tensor:
        """Return [B, T, D] of [B, T, D]."""
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(self.before_attention(h)).chunk(3, dim=-1)
        )
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.out(attended.transpose(1, 2).flatten(-2))
        found: Tensor = h + self.mlp(self.before_mlp(h))
        return found


def refuse_size(x: Tensor, *, points: int, dims: int) -> None:
    """Raise RequestError for points x [B, K, n] that a learner of at most so many points of so many values does not take."""
    given, values = x.shape[1:]
    if values != dims or given > points:
        raise RequestError(
            f"this learner takes points of {dims} values and at most {points} of them, the asked one included; got {given} of "
            f"{values} values. Train one for that size."
        )


class Learner(nn.Module):
    """P(y = +1) at every point, from the points before it."""

    def __init__(self, config: LearnerConfig) -> None:
        super().__init__()
        self.config = config
        self.read_in = nn.Linear(config.dims, config.width)
        self.positions = nn.Embedding(2 * config.points, config.width)
        self.blocks = nn.ModuleList([Block(config.width, config.heads) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(config.width)
        self.read_out = nn.Linear(config.width, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return logits of y = +1 [B, K], the one at k from points before k and x at k.

        Args:
            x: [B, K, n] of -1 and +1.
            y: [B, K]; the last one is not looked at.

        Raises:
            RequestError: more points than the learned positions hold, or another number of dimensions.
        """
        _, points, dims = x.shape
        refuse_size(x, points=self.config.points, dims=self.config.dims)
        wide = functional.pad(y[..., None], (0, dims - 1))
        # The label of the last point is cut off: nothing after its x is ever read.
        sequence = torch.stack([x, wide], dim=2).flatten(1, 2)[:, :-1]
        h = self.read_in(sequence) + self.positions(torch.arange(2 * points - 1))
        for block in self.blocks:
            h = block(h)
        found: Tensor = self.read_out(self.norm(h[:, ::2]))[..., 0]
        return found
