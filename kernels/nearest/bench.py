"""The nearest token, searched and proven, beside a product with the normalised table."""

from collections.abc import Callable

import torch
from torch import Tensor

from kernels.bench.case import BenchCase
from kernels.nearest.dispatch import nearest_token
from kernels.table import EmbeddingTable


def case(
    shape: str, table: EmbeddingTable, vectors: Tensor, candidates: Tensor, implementations: list[str]
) -> BenchCase:
    """`candidates` as an engine has them: the likeliest tokens of the beliefs that the vectors render."""
    weight = table.weight
    normalised = weight.float() * table.inverse_norms[:, None]
    runs: dict[str, Callable[[], Tensor]] = {
        name: lambda name=name: nearest_token(vectors, table, impl=name).ids  # type: ignore[misc]
        for name in implementations
    }
    runs["proven"] = lambda: nearest_token(vectors, table, candidates=candidates).ids
    # Not checked to the last row: float32 sums may order near ties differently.
    runs["eager"] = lambda: (vectors.float() @ normalised.T).argmax(dim=1)
    expected = nearest_token(vectors[:4], table, impl="reference").ids
    proven = nearest_token(vectors, table, candidates=candidates)
    return BenchCase(
        operator="nearest_token",
        shape=shape,
        rows=len(vectors),
        dtype=weight.dtype,
        num_bytes=weight.numel() * weight.element_size(),
        num_flops=2 * len(vectors) * weight.numel(),
        runs=runs,
        expected=expected,
        scale=1.0,
        notes={"fallback_share": proven.fallbacks / max(1, len(vectors))},
    )


def beliefs_on(table: EmbeddingTable, rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Vectors that peaked random beliefs render, and their three likeliest tokens."""
    generator = torch.Generator(table.weight.device).manual_seed(seed)
    device = table.weight.device
    ids = torch.randint(table.num_tokens, (rows, 3), generator=generator, device=device)
    shares = torch.rand(rows, 3, generator=generator, device=device) + torch.tensor([2.0, 0.0, 0.0], device=device)
    shares = shares / shares.sum(dim=1, keepdim=True)
    vectors = (shares[:, :, None] * table.weight[ids].float()).sum(dim=1)
    return vectors.to(table.weight.dtype), ids
