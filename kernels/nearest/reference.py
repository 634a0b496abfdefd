"""The definition of the nearest token, in plain torch. N vectors, V tokens, D embedding width."""

import torch
from torch import Tensor


def nearest_token(vectors: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, cosine, second) [N]: the row with the largest cosine, that cosine, and the next row's; all in float64.

    The cosine with a zero row, or of a zero vector, is 0; of equal cosines the lowest id wins; with one row alone the
    second is -2. Identical rows have identical cosines: each is summed over D by itself.
    """
    wide = vectors.double()
    lengths = wide.norm(dim=1)
    cosines = torch.empty(len(wide), table.shape[0], dtype=torch.float64, device=table.device)
    for start in range(0, table.shape[0], 1024):
        rows = table[start : start + 1024].double()
        scale = lengths[:, None] * rows.norm(dim=1)
        dots = torch.stack([(rows * vector).sum(dim=1) for vector in wide]) if len(wide) else cosines[:, :1024]
        cosines[:, start : start + 1024] = torch.where(scale > 0, dots / scale.clamp_min(1e-300), 0.0)
    best = cosines.amax(dim=1)
    ids = (cosines == best[:, None]).to(torch.uint8).argmax(dim=1)
    second = cosines.scatter(1, ids[:, None], -2.0).amax(dim=1)
    return ids, best, second
