"""The token whose embedding has the largest cosine with a vector."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.errors import InvalidVector
from kernels.table import EmbeddingTable, as_table


@dataclass(frozen=True, eq=False)
class Nearest:
    """ids [N] int64, cosine [N] float32 of the nearest, margin [N] float32 to the second, fallbacks: rows scanned in full."""

    ids: Tensor
    cosine: Tensor
    margin: Tensor
    fallbacks: int


def nearest_token(
    vectors: Tensor,
    table: Tensor | EmbeddingTable,
    *,
    norms: Tensor | None = None,
    candidates: Tensor | None = None,
    impl: str = "auto",
) -> Nearest:
    table = as_table(table)
    if not bool(torch.isfinite(vectors).all()):
        rows = tuple((~torch.isfinite(vectors).all(-1)).nonzero().flatten().tolist())
        raise InvalidVector(f"vectors row {rows[0]} is not finite", rows)
    unit = torch.nn.functional.normalize(vectors.float(), dim=-1, eps=1e-30)
    cosine = (unit @ table.weight.float().T) * table.inverse_norms
    top, ids = cosine.topk(min(2, cosine.shape[1]), dim=-1)
    margin = top[:, 0] - top[:, 1] if top.shape[1] > 1 else torch.full_like(top[:, 0], float("inf"))
    ids = (cosine == top[:, :1]).to(torch.uint8).argmax(-1)
    return Nearest(ids, top[:, 0], margin, len(vectors))
