"""The encoder of positions: a position is a string of digits, and its vector is what a small transformer makes of them.

Li, Liu, Sun, Cai, Cui, Bi, Zhao and Watanabe, SeqPE: Transformer with Sequential Position Encoding (2025, arXiv 2506.13277).

    x_s = E_digit[d_s] + E_slot[s],  s = 1 … S, zeros on the left;   x_(S+1) = c, which has no slot
    v = W LN(block_2(block_1(x)))_(S+1)

Blocks are GPT-2's with norms in front, causal from the first digit on. Zeros on the left are digits as any other: nothing is
masked.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

BASE = 10


def num_digits(reach: int) -> int:
    """Return the digits of the largest of so many positions."""
    return len(str(reach - 1))


def digits_of(positions: Tensor, count: int) -> Tensor:
    """Return the decimal digits [..., count] of positions [...], the last one the units, zeros on the left.

    Raises:
        ValueError: a position that has more digits, or is negative.
    """
    first, last = (int(positions.min()), int(positions.max())) if positions.numel() else (0, 0)
    if first < 0 or last >= BASE**count:
        raise ValueError(f"positions of {count} digits are 0 to {BASE**count - 1}; got {first} to {last}")
    powers = BASE ** torch.arange(count - 1, -1, -1, device=positions.device)
    return positions[..., None] // powers % BASE


class EncoderBlock(nn.Module):
    """A block of GPT-2: causal attention and two maps, a norm before each.

    Args:
        width: D.
        heads: H.
        dropout: of what attention and the maps add, in training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projected, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, S + 1, D] of [N, S + 1, D]."""
        parts = self.projected(self.norm_1(x)).chunk(3, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        heard = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self._dropped(self.out(heard.transpose(1, 2).flatten(2)))
        made = self.down(functional.gelu(self.up(self.norm_2(x)), approximate="tanh"))
        found: Tensor = x + self._dropped(made)
        return found

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class SequentialEncoder(nn.Module):
    """Positions → vectors; see the module's text.

    Args:
        width: D, of its blocks and of a vector.
        heads: H.
        digits: S.
        layers: blocks.
        dropout: in training.
    """

    def __init__(self, width: int, heads: int, digits: int, *, layers: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.digits = digits
        self.digit, self.slot = nn.Embedding(BASE, width), nn.Embedding(digits, width)
        self.end = nn.Parameter(torch.empty(width))
        self.blocks = nn.ModuleList([EncoderBlock(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        nn.init.normal_(self.end, std=0.02)

    def forward(self, positions: Tensor) -> Tensor:
        """Return vectors [N, D] of positions [N] int64.

        Raises:
            ValueError: a position of more digits than the encoder has slots.
        """
        x = self.digit(digits_of(positions, self.digits)) + self.slot.weight
        # The last place reads all digits. It is the same for every position, so that it needs no slot of its own.
        x = torch.cat([x, self.end.expand(len(x), 1, -1)], 1)
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.out(self.norm(x[:, -1]))
        return found
