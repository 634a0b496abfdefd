"""The k largest of a row, and zeros in place of the others."""

import torch
from torch import Tensor


def keep_largest(row: Tensor, k: int) -> Tensor:
    """Return rows with the k of largest magnitude in each as they are, and zeros in place of the others.

    Of equals the one with the lowest number stays: what stays depends on its own row alone. Nothing is rescaled. Gradients pass
    through what stays.

    Args:
        row: [..., F].
        k: at least 1; F and above keep all.

    Returns:
        [..., F], the same dtype; the argument itself where all stay.
    """
    if k >= row.shape[-1]:
        return row
    order = row.detach().abs().sort(dim=-1, descending=True, stable=True).indices
    left = torch.ones_like(row, dtype=torch.bool).scatter(-1, order[..., :k], False)
    return row.masked_fill(left, 0)
