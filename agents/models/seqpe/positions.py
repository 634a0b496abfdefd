"""What a model is told of positions: SeqPE, and what it is compared with, in one form.

Each is a module that a model asks once a forward pass, in place of Llama's rotary angles. What it says goes to the input
(`added`), or to every block's attention: as further numbers of queries and keys, whose products add to the scores, or as
angles by which they are turned.

SeqPE's scores (`attn_scalar` of the published code, with one projection for all blocks):

    score_ij = (q_i · k_j + p_i · r_j) / √d_h,   [p; r] = P v of a position's vector v, a head's share of each

Since a sum of products is the product of what is put side by side, nothing of size N x N is made for it, and whatever
computes attention computes it: by row, cached, packed.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.attention.harmonic import slopes
from agents.errors import ModelError
from agents.models.seqpe.encoder import SequentialEncoder

BLOCK = 64


class Places(NamedTuple):
    """What is said of positions [B, T]; None where nothing is.

    Attributes:
        added: [B, T, D], to the input of the first block.
        query, key: [B, T, H, e], behind the numbers of a head's query and key.
        turned: cosines and sines [B, T, d_h].
    """

    added: Tensor | None = None
    query: Tensor | None = None
    key: Tensor | None = None
    turned: tuple[Tensor, Tensor] | None = None


class SequentialPositions(nn.Module):
    """SeqPE. What is kept is made of whole blocks of 64 positions, so that one has the same bits whatever else is read.

    Args:
        config: of the model.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, self.heads = config.hidden_size, config.num_attention_heads
        self.encoder = SequentialEncoder(
            width, self.heads, config.digits, layers=config.encoder_layers, dropout=config.encoder_dropout
        )
        self.projected = nn.Linear(width, 2 * width)
        self._blocks: dict[int, Tensor] = {}

    def forward(self, x: Tensor, position_ids: Tensor) -> Places:
        """Return what queries and keys have beside their own numbers, for positions [B, T]."""
        if self.training or (torch.is_grad_enabled() and self.projected.weight.requires_grad):
            each, where = torch.unique(position_ids, return_inverse=True)
            made = self.projected(self.encoder(each))
        else:
            numbers, place = torch.unique(position_ids // BLOCK, return_inverse=True)
            made = torch.cat([self._block(number) for number in numbers.tolist()])
            where = place * BLOCK + position_ids % BLOCK
        query, key = made[where].to(x.dtype).chunk(2, -1)
        return Places(query=query.unflatten(-1, (self.heads, -1)), key=key.unflatten(-1, (self.heads, -1)))

    def _block(self, number: int) -> Tensor:
        weight = self.projected.weight
        known = self._blocks.get(number)
        if known is None or (known.device, known.dtype) != (weight.device, weight.dtype):
            each = torch.arange(number * BLOCK, (number + 1) * BLOCK, device=weight.device)
            # The last block may end beyond the last position of so many digits.
            known = self.projected(self.encoder(each.clamp_max(10**self.encoder.digits - 1))).detach()
            self._blocks[number] = known
        return known

    def train(self, mode: bool = True) -> "SequentialPositions":
        """Set the mode, and forget what was made with weights that may have changed."""
        self._blocks.clear()
        super().train(mode)
        return self


class LearnedPositions(nn.Module):
    """A learned row of each of so many positions, added to the input.

    Args:
        config: of the model; `reach` is how many.

    Attributes:
        stretched: positions that the rows are interpolated to, linearly; None for as many as there are.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.rows = nn.Embedding(config.reach, config.hidden_size)
        self.stretched: int | None = None

    def forward(self, x: Tensor, position_ids: Tensor) -> Places:
        """Return what is added for positions [B, T].

        Raises:
            ValueError: a position that has no row.
        """
        rows: Tensor = self.rows.weight
        if self.stretched is not None:
            rows = functional.interpolate(rows.T[None], self.stretched, mode="linear", align_corners=False)[0].T
        if int(position_ids.max()) >= len(rows):
            raise ValueError(f"there are {len(rows)} learned positions; got position {int(position_ids.max())}")
        return Places(added=rows[position_ids].to(x.dtype))


class SinusoidalPositions(nn.Module):
    """Sines and cosines of wavelengths 2π to 2π · 10,000, side by side, added to the input (Vaswani et al., 2017).

    Args:
        config: of the model.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.width = config.hidden_size

    def forward(self, x: Tensor, position_ids: Tensor) -> Places:
        """Return what is added for positions [B, T]."""
        numbers = torch.arange(0, self.width, 2, device=position_ids.device, dtype=torch.float64)
        angles = position_ids[..., None] * 10000.0 ** (-numbers / self.width)
        added = torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)[..., : self.width]
        return Places(added=added.to(x.dtype))


class AlibiPositions(nn.Module):
    """A penalty of a head's slope times the distance, on scores after their scaling (Press et al., 2022).

    −m (i − j) is the product of (−i, 1) and (m, m j), times √d_h, which the scaling takes away.

    Args:
        config: of the model.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.heads, self.scale = config.num_attention_heads, math.sqrt(config.head_dim)

    def forward(self, x: Tensor, position_ids: Tensor) -> Places:
        """Return two more numbers of queries and keys for positions [B, T].

        Raises:
            ModelError: fewer bits than float32's, in which distant positions are not whole numbers.
        """
        if x.dtype in (torch.bfloat16, torch.float16):
            raise ModelError(
                f"positions alibi are exact in float32 and above, and the model is in {str(x.dtype).removeprefix('torch.')}: "
                "give it dtype: float32"
            )
        at = position_ids[..., None].to(x.dtype).expand(*position_ids.shape, self.heads)
        slope = slopes(self.heads).to(x)
        query = torch.stack([-at, torch.ones_like(at)], -1) * self.scale
        key = torch.stack([slope.expand_as(at), slope * at], -1)
        return Places(query=query, key=key)


class RotaryPositions(nn.Module):
    """Llama's own angles.

    Args:
        config: of the model.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

        self.angles = LlamaRotaryEmbedding(config)

    def forward(self, x: Tensor, position_ids: Tensor) -> Places:
        """Return the angles of positions [B, T]."""
        cosine, sine = self.angles(x, position_ids)
        return Places(turned=(cosine, sine))


KINDS: dict[str, type[nn.Module]] = {
    "seqpe": SequentialPositions,
    "learned": LearnedPositions,
    "sinusoidal": SinusoidalPositions,
    "alibi": AlibiPositions,
    "rotary": RotaryPositions,
}
