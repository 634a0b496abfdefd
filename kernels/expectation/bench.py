"""The expected embedding beside eager and compiled torch, dense and certified sparse."""

from collections.abc import Callable

import torch
from torch import Tensor

from kernels.bench.case import TOLERANCE, BenchCase, exact_mean
from kernels.expectation.dispatch import expected_embedding, sparse_expected_embedding
from kernels.table import EmbeddingTable


def eager(logits: Tensor, table: Tensor, temperature: float) -> Tensor:
    return (logits / temperature).softmax(dim=-1).to(table.dtype) @ table


def step(logits: Tensor, table: EmbeddingTable, temperature: float) -> Callable[[], Tensor]:
    """What an engine does on a GPU at each step, where nothing waits: the vectors, entropies and likeliest tokens."""
    from kernels.encoders import get

    rows = torch.arange(len(logits), device=logits.device)
    temperatures = torch.full((len(logits),), temperature, device=logits.device)
    encoder = get("expectation")
    return lambda: (
        encoder.encode(logits, table, temperature=temperatures, seeds=rows, steps=rows, top=8, deferred=True).vectors
    )


def case(
    shape: str, table: EmbeddingTable, logits: Tensor, temperature: float, implementations: list[str], compiled: bool
) -> BenchCase:
    """Dense implementations, and "sparse" as the encoders use it, on given logits [B, V]."""
    weight = table.weight
    rows, vocabulary = logits.shape
    runs: dict[str, Callable[[], Tensor]] = {
        name: lambda name=name: expected_embedding(logits, table, temperature, impl=name)  # type: ignore[misc]
        for name in implementations
    }
    if "triton" in implementations:
        runs["engine"] = step(logits, table, temperature)
    runs["eager"] = lambda: eager(logits, weight, temperature)
    if compiled:
        program = torch.compile(eager, dynamic=False)
        runs["compiled"] = lambda: program(logits, weight, temperature)
    notes: dict[str, float] = {}
    expected = exact_mean(logits, weight, temperature)
    fast = next((name for name in ("native", "triton") if name in implementations), None)
    if fast is not None:
        runs["sparse"] = lambda: sparse_expected_embedding(logits, table, temperature, impl=fast).vectors
        sparse = sparse_expected_embedding(logits, table, temperature, impl=fast)
        distance = (sparse.vectors.double() - expected).norm(dim=1)
        # The certificate is about what was skipped; float32 sums err and the result is rounded to the dtype besides.
        rounding = torch.finfo(weight.dtype).eps / 2 * expected.norm(dim=1) + TOLERANCE[torch.float32] * table.max_norm
        assert bool((distance <= sparse.bound.double() + rounding).all()), "the certificate does not hold"
        notes = {
            "rows_read": float(sparse.rows_read.double().mean()),
            "bound": float(sparse.bound.max()),
            "distance": float(distance.max()),
        }
    return BenchCase(
        operator="expected_embedding",
        shape=shape,
        rows=rows,
        dtype=weight.dtype,
        num_bytes=weight.numel() * weight.element_size() + logits.numel() * logits.element_size(),
        num_flops=2 * rows * vocabulary * weight.shape[1],
        runs=runs,
        expected=expected,
        scale=table.max_norm,
        notes=notes,
    )
