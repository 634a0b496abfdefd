"""The public expected embedding: checks, the choice of an implementation, and the operator torch knows it by."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels import gpu, native
from kernels.belief import as_temperature, raise_for, restrict, scaled_logits
from kernels.dispatch import choose, never, wants_gradient
from kernels.expectation import cpu, reference
from kernels.scan import expectation, scan
from kernels.table import EmbeddingTable, LowRank, as_table

# Dense results may leave out this much of the mass: far under what float32 resolves.
_NOTHING = 2.0**-32


@dataclass(frozen=True, eq=False)
class SparseExpectation:
    """An expected embedding that skipped tokens, and how far it can be off. B rows, D embedding width."""

    vectors: Tensor  # [B, D] in the table's dtype
    bound: Tensor  # [B] float32: the Euclidean distance to the dense result is at most this, rounding aside
    rows_read: Tensor  # [B] int64: rows of the table that the sum took


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
    """The embedding expected under softmax(logits / temperature).

    CIPHER's message vector (Pham et al., 2024, arXiv:2310.06272): Σ_v p_v E_v.

    Args:
        logits: [B, V], any float dtype; −inf marks a token that must not be mixed in.
        table: [V, D] on the same device.
        temperature: a number or [B]; 0 means the argmax token's embedding, of equal logits that with the lowest id.
        top_k, top_p, min_p: keep likely tokens only and renormalise, applied in this order.
        mask: [B, V] bool; False is as −inf.
        impl: "auto", "native", "blocked", "triton" or "reference".

    Returns:
        [B, D] in the table's dtype, accumulated in float32. Only the reference has gradients; "auto" takes it where one
        is needed.

    Raises:
        InvalidBelief: a row holds NaN or +inf, or nothing but −inf.
        ImplementationUnavailable: `impl` was named and cannot run here; the message says why.
    """
    weight = as_table(table).weight
    temperatures = _checked(logits, weight, temperature)
    if mask is not None:
        logits = logits.masked_fill(~mask, float("-inf"))
    chosen = _choose(impl, logits, weight)
    if chosen == "reference":
        return reference.expected_embedding(logits, weight, temperatures, top_k=top_k, top_p=top_p, min_p=min_p)
    if top_k is not None or top_p is not None or min_p is not None:
        kept = torch.isfinite(restrict(scaled_logits(logits, temperatures), top_k, top_p, min_p))
        logits = logits.masked_fill(~kept, float("-inf"))
    return _run(logits, weight, temperatures, _NOTHING, None, chosen)[0]


def sparse_expected_embedding(
    logits: Tensor,
    table: Tensor | EmbeddingTable,
    temperature: Tensor | float = 1.0,
    *,
    delta: float | None = None,
    impl: str = "auto",
) -> SparseExpectation:
    """The expected embedding over likely tokens only, with a certificate.

    Tokens are left out, least likely first, while the result stays within 2 `delta` max‖E_v‖ of the dense one. For an
    EmbeddingTable the compiled code and the GPU's take a low-rank approximation A B for their rows, which errs by at most
    ‖E − A B‖ √Σ p_v² (`LowRank`); otherwise they are dropped and the rest is renormalised, which errs by at most
    2 d max‖E_v‖ if d is the mass that goes. That is the bound returned. `delta` defaults to the table's: see
    `EmbeddingTable.delta`.

    Raises: as `expected_embedding`.
    """
    table = as_table(table)
    temperatures = _checked(logits, table.weight, temperature)
    delta = table.delta if delta is None else delta
    if not 0 <= delta < 1:
        raise ValueError(f"delta must be in [0, 1), got {delta}")
    chosen = _choose(impl, logits.detach(), table.weight.detach())
    low_rank = table.low_rank if chosen in ("native", "triton") else None
    vectors, cost, read = _run(logits.detach(), table.weight.detach(), temperatures, delta, low_rank, chosen)
    # The last factor covers the rounding of the bound itself.
    return SparseExpectation(vectors, (2 * cost * table.max_norm * (1 + 4e-6)).float(), read)


def weighted_rows(weights: Tensor, table: Tensor | EmbeddingTable) -> Tensor:
    """Σ_v q_v E_v for weights q [B, V] float32 >= 0 that need not sum to 1, and a table or a part of one: [B, D] float32.

    No gradients on GPUs, where the table is read as it lies and not converted.
    """
    weight = as_table(table).weight.detach()
    if gpu.refusal("auto", weights, weight) is None:
        from kernels.expectation import triton

        return triton.weighted_rows(weights, weight)
    return weights @ weight.float()


def _checked(logits: Tensor, weight: Tensor, temperature: Tensor | float) -> Tensor:
    if logits.dim() != 2 or logits.shape[1] != weight.shape[0]:
        raise ValueError(f"logits must be [B, V] with V = {weight.shape[0]} as in the table, got {list(logits.shape)}")
    if logits.device != weight.device:
        raise ValueError(f"logits are on {logits.device} and the table is on {weight.device}")
    return as_temperature(temperature, logits.shape[0], logits.device)


def _choose(impl: str, logits: Tensor, weight: Tensor) -> str:
    gradient = wants_gradient(logits, weight)
    return choose(
        "expected_embedding",
        impl,
        {
            "triton": lambda: gradient or gpu.refusal(impl, logits, weight),
            "native": lambda: gradient or _no_float64(logits) or native.refusal(weight),
            "blocked": lambda: gradient or _no_float64(logits) or _off_cpu(weight),
            "reference": never,
        },
    )


def _run(
    logits: Tensor, weight: Tensor, temperatures: Tensor, delta: float, low_rank: LowRank | None, chosen: str
) -> tuple[Tensor, Tensor, Tensor]:
    """What the operator returns; eager code calls the compiled one directly, for a call of 1 ms notices the way around."""
    if chosen == "native" and not torch.compiler.is_compiling():
        return _native(logits, weight, temperatures, delta, low_rank)
    basis, coordinates, scale = (
        (low_rank.basis, low_rank.coordinates, low_rank.scale) if low_rank else (None, None, 1.0)
    )
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.cipher_debate.expected_embedding(
        logits, weight, temperatures, delta, basis, coordinates, scale, chosen
    )
    return found


def _native(
    logits: Tensor, table: Tensor, temperature: Tensor, delta: float, low_rank: LowRank | None
) -> tuple[Tensor, Tensor, Tensor]:
    facts = scan(logits, temperature, delta=delta, low_rank=low_rank)
    sums, read = expectation(facts, table)
    return sums.to(table.dtype), facts.cost / facts.total, read


def _no_float64(logits: Tensor) -> str | None:
    return "it computes in float32, got float64" if logits.dtype == torch.float64 else None


def _off_cpu(weight: Tensor) -> str | None:
    return None if weight.device.type == "cpu" else f"it runs on the CPU, got a tensor on {weight.device}"


@torch.library.custom_op("cipher_debate::expected_embedding", mutates_args=())
def _operator(
    logits: Tensor,
    table: Tensor,
    temperature: Tensor,
    delta: float,
    basis: Tensor | None,
    coordinates: Tensor | None,
    scale: float,
    impl: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """(vectors [B, D], error / (2 max‖E_v‖) at most [B] float64, rows read [B] int64); the parts of a `LowRank`."""
    if impl == "reference":
        vectors = reference.expected_embedding(logits, table, temperature)
        dropped = torch.zeros(len(logits), dtype=torch.float64, device=logits.device)
        return vectors, dropped, torch.full((len(logits),), table.shape[0], device=logits.device)
    low_rank = None if basis is None or coordinates is None else LowRank(basis, coordinates, scale)
    if impl == "triton":
        from kernels.expectation import sparse, triton

        if delta > _NOTHING:
            vectors, facts, cost, kept = sparse.mean(logits, table, temperature, delta=delta, low_rank=low_rank)
            raise_for(facts.status)
            return vectors, cost, kept
        vectors, dropped, read, status = triton.expected_embedding(logits, table, temperature)
        raise_for(status)
        return vectors, dropped, read
    if impl == "blocked":
        sums, dropped, read = cpu.expected_embedding(logits, table, temperature, delta)
        return sums.to(table.dtype), dropped, read
    return _native(logits, table, temperature, delta, low_rank)


@_operator.register_fake
def _(logits: Tensor, table: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    rows = logits.shape[0]
    return (
        logits.new_empty(rows, table.shape[1], dtype=table.dtype),
        logits.new_empty(rows, dtype=torch.float64),
        logits.new_empty(rows, dtype=torch.int64),
    )
