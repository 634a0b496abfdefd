"""The online softmax: attention over keys that come in pieces, equal to attention over all of them at once.

With the largest score so far m, the denominator l = Σ e^{s − m} and the numerator o = Σ e^{s − m} v, a further piece of
scores S and values V gives m' = max(m, max S), l' = e^{m − m'} l + Σ e^{S − m'}, o' = e^{m − m'} o + e^{S − m'} V, and o / l
is the result (Milakov and Gimelshein, 2018, arXiv:1805.02867; FlashAttention: Dao et al., NeurIPS 2022, arXiv:2205.14135).
"""

import math

import torch


class OnlineSoftmax:
    """Attention of some queries, piece by piece.

    Args:
        shape: of the result, [..., Q, D].
        dtype: that is added up in, float32 or float64.
        device: of the pieces.
    """

    def __init__(self, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> None:
        self._most = torch.full((*shape[:-1], 1), -math.inf, dtype=dtype, device=device)
        self._sum = torch.zeros_like(self._most)
        self._heard = torch.zeros(shape, dtype=dtype, device=device)

    def add(self, scores: torch.Tensor, values: torch.Tensor) -> None:
        """Take in scores [..., Q, K] and values [..., K, D]; −inf is a key that is not seen, and a row may see none."""
        most = torch.maximum(self._most, scores.amax(-1, keepdim=True))
        # Where nothing was seen yet, the difference of two −inf would be no number.
        safe = most.masked_fill(most == -math.inf, 0)
        kept, shares = torch.exp(self._most - safe), torch.exp(scores - safe)
        self._sum = kept * self._sum + shares.sum(-1, keepdim=True)
        self._heard = kept * self._heard + shares @ values
        self._most = most

    def result(self) -> torch.Tensor:
        """Return what the queries heard, [..., Q, D]; zeros of one that saw no key."""
        return self._heard / self._sum.masked_fill(self._sum == 0, 1)
