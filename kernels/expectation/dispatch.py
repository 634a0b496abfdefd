"""Which implementation of the expected embedding runs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.belief import as_temperature, scaled_logits
from kernels.errors import ImplementationUnavailable
from kernels.expectation import reference
from kernels.table import EmbeddingTable, as_table


def expected_embedding(
    logits: Tensor,
    table: Tensor | EmbeddingTable,
    temperature: Tensor | float = 1.0,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    mask: Tensor | None = None,
    impl: str = "auto",
) -> Tensor:
    weight = as_table(table).weight
    if mask is not None:
        logits = logits.masked_fill(~mask, float("-inf"))
    if impl not in ("auto", "reference"):
        raise ImplementationUnavailable("expected_embedding", impl, "not built")
    temperatures = as_temperature(temperature, logits.shape[0], logits.device)
    return reference.expected_embedding(logits, weight, temperatures, top_k=top_k, top_p=top_p, min_p=min_p)


@dataclass(frozen=True, eq=False)
class SparseExpectation:
    vectors: Tensor
    bound: Tensor
    rows_read: Tensor


def sparse_expected_embedding(
    logits: Tensor,
    table: Tensor | EmbeddingTable,
    temperature: Tensor | float = 1.0,
    *,
    delta: float | None = None,
    impl: str = "auto",
) -> SparseExpectation:
    table = as_table(table)
    temperatures = as_temperature(temperature, logits.shape[0], logits.device)
    belief = scaled_logits(logits, temperatures).softmax(-1)
    delta = torch.finfo(table.weight.dtype).eps / 8 if delta is None else delta
    keep = belief >= delta / belief.shape[-1]
    kept = belief * keep
    dropped = (belief * ~keep).sum(-1)
    vectors = (kept / kept.sum(-1, keepdim=True)) @ table.weight.float()
    return SparseExpectation(vectors.to(table.weight.dtype), 2 * dropped * table.max_norm, keep.sum(-1))
