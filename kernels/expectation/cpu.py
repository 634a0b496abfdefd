"""The expected embedding on the CPU without a compiler: blocks of the table through torch's matrix library.

No [B, V] probabilities are written: a block of them lives at a time. B rows, V tokens, D embedding width.
"""

import torch
from torch import Tensor

from kernels.belief import scaled_logits

_BLOCK = 4096


def expected_embedding(
    logits: Tensor, table: Tensor, temperature: Tensor, delta: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(vectors [B, D] float32, dropped mass [B] float64, rows read [B] int64).

    A row whose heavy tokens are few gathers those; the others go through the table together, block by block.
    """
    scaled = scaled_logits(logits.detach().float(), temperature)
    rows, vocabulary = scaled.shape
    width = table.shape[1]
    total = torch.zeros(rows, dtype=torch.float64)
    for start in range(0, vocabulary, _BLOCK):
        total += scaled[:, start : start + _BLOCK].exp().sum(dim=1)
    # Every token under `floor` has less than delta / V of the mass, so that together they have less than delta.
    floor = (total * delta / vocabulary).log()
    vectors = torch.empty(rows, width)
    dropped = torch.zeros(rows, dtype=torch.float64)
    read = torch.full((rows,), vocabulary, dtype=torch.int64)
    dense = []
    for row in range(rows):
        keep = (scaled[row] >= floor[row]).nonzero().flatten()
        if len(keep) * 8 > vocabulary:
            dense.append(row)
            continue
        weights = scaled[row, keep].exp()
        kept = weights.sum(dtype=torch.float64)
        vectors[row] = ((weights @ table[keep].float()) / kept).float()
        dropped[row] = 1 - kept / total[row] if len(keep) < vocabulary else 0.0
        read[row] = len(keep)
    if dense:
        sums = torch.zeros(len(dense), width)
        for start in range(0, vocabulary, _BLOCK):
            weights = scaled[dense, start : start + _BLOCK].exp()
            sums += weights @ table[start : start + _BLOCK].float()
        vectors[dense] = (sums / total[dense, None]).float()
    return vectors, dropped.clamp_min(0), read
