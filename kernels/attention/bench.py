"""Attention over the vocabulary beside what one writes without it: logits, softmax, product."""

from collections.abc import Callable

import torch
from torch import Tensor

from kernels import gpu
from kernels.attention import cluster
from kernels.attention.call import Call
from kernels.attention.dispatch import vocabulary_attention
from kernels.bench.case import BenchCase, exact_logits, exact_mean
from kernels.expectation.dispatch import expected_embedding


def two_step(hidden: Tensor, table: Tensor, temperature: float) -> Tensor:
    """softmax(h Eᵀ / T) · E as one writes it: logits in the model's dtype, softmax in float32."""
    logits = (hidden @ table.T).float()
    return (logits / temperature).softmax(dim=-1).to(table.dtype) @ table


def logits_first(hidden: Tensor, table: Tensor, temperature: float) -> Tensor:
    """As the engines do on a GPU: logits by the matrix library, the expectation after it."""
    return expected_embedding((hidden @ table.T).float(), table, temperature, impl="triton")


def in_clusters(hidden: Tensor, table: Tensor) -> bool:
    """Whether clusters of blocks are timed: where CIPHER_DEBATE_GPU_CLUSTER=1 asks for it, and they can serve."""
    call = Call(hidden, table, table, hidden.new_ones(len(hidden), dtype=torch.float32), 1.0, 0.0, None, 0)
    return gpu.in_clusters() and cluster.refusal("cluster", call) is None


def case(shape: str, table: Tensor, rows: int, implementations: list[str], compiled: bool) -> BenchCase:
    """Tied tables, so that what must move is one read of the table."""
    vocabulary, width = table.shape
    generator = torch.Generator(table.device).manual_seed(rows)
    # Logits with a deviation of 3 after a table of unit rows: a belief with weight on many tokens, nothing to skip.
    hidden = (3 * torch.randn(rows, width, generator=generator, device=table.device)).to(table.dtype)
    if in_clusters(hidden, table):
        implementations = ["cluster", *implementations]
    runs: dict[str, Callable[[], Tensor]] = {
        name: lambda name=name: vocabulary_attention(hidden, table, None, 0.7, impl=name).expectation  # type: ignore[misc]
        for name in implementations
    }
    if "triton" in implementations:
        runs["logits first"] = lambda: logits_first(hidden, table, 0.7)
    runs["eager"] = lambda: two_step(hidden, table, 0.7)
    if compiled:
        program = torch.compile(two_step, dynamic=False)
        runs["compiled"] = lambda: program(hidden, table, 0.7)
    first = hidden[:2]
    return BenchCase(
        operator="vocabulary_attention",
        shape=shape,
        rows=rows,
        dtype=table.dtype,
        num_bytes=table.numel() * table.element_size(),
        num_flops=4 * rows * vocabulary * width,
        runs=runs,
        expected=exact_mean(exact_logits(first, table), table, 0.7),
        scale=float(table[:8192].float().norm(dim=1).max()),
    )
