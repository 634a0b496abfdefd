"""The public nearest-token search: checks, the choice of an implementation, the proof that spares a search.

N vectors, V tokens, D embedding width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels import gpu, native
from kernels.dispatch import choose, never
from kernels.errors import InvalidVector
from kernels.nearest import cpu, reference
from kernels.table import EmbeddingTable, as_table

# An angle computed from a float64 cosine is off by less than this, also near 0 where acos is steepest.
_ANGLE_SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest token of each vector. `margin` is exact for a searched row and a lower bound for a proven one."""

    ids: Tensor  # [N] int64
    cosine: Tensor  # [N] float32
    margin: Tensor  # [N] float32: how much smaller the second-best cosine is; inf where V = 1
    fallbacks: int  # rows that were searched in full: all of them where no candidates were given


def nearest_token(
    vectors: Tensor,
    table: Tensor | EmbeddingTable,
    *,
    norms: Tensor | None = None,
    candidates: Tensor | None = None,
    impl: str = "auto",
    trusted: bool = False,
) -> Nearest:
    """The token whose embedding has the largest cosine with each vector, exactly.

    "Exactly" is the cosine in float64 of the values as stored; of equal cosines the lowest id wins, and identical rows are
    equal, so a row's answer depends neither on the batch nor on the implementation.

    With `candidates` a row is answered without a search where that can be proven. Let v be its best candidate, θ the angle
    between the vector and E_v, φ the angle between E_v and the row closest to it. Angles obey the triangle inequality, so
    every other row is at least φ − θ away, and v is the nearest whenever θ < φ − θ. φ is found by a search for v the first
    time v is met and kept in `table`. The remaining rows are searched: `fallbacks` counts them. On a GPU nobody waits to hear how
    many there are, so all count; what is known of neighbours there is what `EmbeddingTable.prepare` found.

    Args:
        vectors: [N, D], any float dtype, without NaN.
        table: [V, D]; an EmbeddingTable keeps what the search prepares, a tensor has it prepared anew at each call.
        norms: [V] float32, the Euclidean norms of the table's rows, if the caller has them (an EmbeddingTable does).
        candidates: [N] or [N, K] int64, e.g. the likeliest tokens of the beliefs that the vectors render.
        impl: "auto", "native", "blocked", "triton" or "reference".
        trusted: the vectors are known to be finite and are not looked at.

    Raises:
        InvalidVector: a vector is not finite.
        ImplementationUnavailable: `impl` was named and cannot run here; the message says why.
    """
    table = as_table(table)
    _check(vectors, table)
    if norms is not None and not isinstance(norms, Tensor):
        raise TypeError("norms must be a tensor [V]")
    chosen = choose(
        "nearest_token",
        impl,
        {
            "triton": lambda: gpu.refusal(impl, vectors, table.weight),
            "native": lambda: _no_float64(vectors) or native.refusal(table.weight) or _slow_without_vnni(impl),
            "blocked": lambda: _no_float64(vectors),
            "reference": never,
        },
    )
    if candidates is not None:
        candidates = candidates[:, None] if candidates.dim() == 1 else candidates
        if candidates.shape[0] != len(vectors) or candidates.shape[1] < 1:
            raise ValueError(f"candidates must be [N] or [N, K] for N = {len(vectors)}, got {list(candidates.shape)}")
    if candidates is None or chosen == "triton":
        if not trusted:
            _check_finite(vectors)
        if candidates is not None and table.knows_neighbours and len(vectors):
            return _result(*_on_gpu(vectors.detach(), table, candidates), len(vectors))
        ids, best, second = _search(vectors.detach(), table, norms, chosen)
        return _result(ids, best, best - second, len(ids))
    if chosen == "native":
        proven = cpu.prove(vectors, table.weight, table.packed, candidates, table.neighbour_cosines)
        if proven is not None:
            return _result(*proven)
    if not trusted:
        _check_finite(vectors)
    return _result(*prove(vectors.detach(), table, candidates, norms, chosen))


def prove(
    vectors: Tensor, table: EmbeddingTable, candidates: Tensor, norms: Tensor | None, chosen: str
) -> tuple[Tensor, Tensor, Tensor, int]:
    """(ids, cosine, margin) [N], and how many vectors had to be searched for; see `nearest_token`."""
    ids, best = _best_candidates(vectors, table, candidates)
    known = table.neighbour_cosines
    met = torch.unique(ids[torch.isnan(known[ids])])
    if len(met):
        found, _, second = _search(table.weight.detach()[met].to(vectors.dtype), table, norms, chosen)
        # A row found nearer than the token's own (a duplicate with a lower id, or rounding) leaves nothing to prove with.
        known[met] = torch.where(found == met, second, 1.0)
    proven, margin = _proofs(best, known[ids])
    rest = (~proven).nonzero().flatten()
    if len(rest):
        ids[rest], best[rest], second = _search(vectors[rest], table, norms, chosen)
        margin[rest] = best[rest] - second
    return ids, best, margin, len(rest)


def _best_candidates(vectors: Tensor, table: EmbeddingTable, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """The candidate [N] with the largest cosine, of equal ones the lowest, and that cosine [N] float64."""
    row = torch.arange(len(vectors), device=vectors.device).repeat_interleave(candidates.shape[1])
    cosines = cpu.pair_cosines(vectors, table.weight.detach(), row, candidates.flatten()).view(candidates.shape)
    best = cosines.amax(dim=1)
    return torch.where(cosines == best[:, None], candidates, table.num_tokens).amin(dim=1), best


def _proofs(best: Tensor, neighbour: Tensor) -> tuple[Tensor, Tensor]:
    """Whether tokens are proven the nearest by their cosines with the vector and with their neighbours, and the margins [N]."""
    theta = best.clamp(-1, 1).acos()
    phi = neighbour.clamp(-1, 1).acos()
    margin = best - torch.cos((phi - theta - _ANGLE_SLACK).clamp_min(0))
    return theta + _ANGLE_SLACK < phi - theta, margin


def _on_gpu(vectors: Tensor, table: EmbeddingTable, candidates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `prove` does, where nobody waits to hear what is proven: (ids, cosine, margin) [N]."""
    from kernels.nearest import triton

    ids, best = _best_candidates(vectors, table, candidates)
    # A vector that is not finite has no best candidate.
    ids = ids.clamp_max(table.num_tokens - 1)
    proven, margin = _proofs(best, table.neighbour_cosines[ids])
    searched, cosine, second = triton.nearest_token(vectors, table.weight.detach(), table.inverse_norms, ~proven)
    return (
        torch.where(proven, ids, searched),
        torch.where(proven, best, cosine),
        torch.where(proven, margin, cosine - second),
    )


def _search(vectors: Tensor, table: EmbeddingTable, norms: Tensor | None, chosen: str) -> tuple[Tensor, Tensor, Tensor]:
    if not len(vectors):
        empty = torch.empty(0, dtype=torch.float64, device=vectors.device)
        return torch.empty(0, dtype=torch.int64, device=vectors.device), empty, empty
    if chosen == "native":
        return cpu.search(vectors, table.weight, table.packed)
    if norms is not None:
        inverse = torch.where(norms > 0, 1 / norms.clamp_min(torch.finfo(torch.float32).tiny), 0.0)
    else:
        inverse = table.inverse_norms
    ids, best, second = torch.ops.cipher_debate.nearest_token(vectors, table.weight.detach(), inverse, chosen)
    return ids, best, second


def _check(vectors: Tensor, table: EmbeddingTable) -> None:
    if vectors.dim() != 2 or vectors.shape[1] != table.width:
        raise ValueError(f"vectors must be [N, {table.width}] for this table, got {list(vectors.shape)}")
    if not table.num_tokens:
        raise ValueError("the table has no rows to be nearest")
    if vectors.device != table.weight.device:
        raise ValueError(f"vectors are on {vectors.device} and the table is on {table.weight.device}")


def _check_finite(vectors: Tensor) -> None:
    # One reduction finds NaN and infinity alike.
    if not bool(torch.isfinite(vectors.detach().float().abs().sum())):
        rows = tuple((~torch.isfinite(vectors).all(dim=1)).nonzero().flatten().tolist())
        if rows:
            shown = ", ".join(map(str, rows[:8])) + (", …" if len(rows) > 8 else "")
            raise InvalidVector(f"vectors row {shown}: not finite, so nothing is nearest", rows)


def _result(ids: Tensor, best: Tensor, margin: Tensor, fallbacks: int) -> Nearest:
    return Nearest(ids, best.float(), torch.where(margin > 2.5, float("inf"), margin).float(), fallbacks)


def _no_float64(vectors: Tensor) -> str | None:
    return "it reads float32 vectors, got float64" if vectors.dtype == torch.float64 else None


def _slow_without_vnni(impl: str) -> str | None:
    if impl == "auto" and not native.library().nearest_has_vnni():
        return "this processor has no 8-bit dot product, so the matrix library is faster"
    return None


@torch.library.custom_op("cipher_debate::nearest_token", mutates_args=())
def _operator(vectors: Tensor, table: Tensor, inverse_norms: Tensor, impl: str) -> tuple[Tensor, Tensor, Tensor]:
    """(ids [N], cosine [N] float64, second-best cosine [N] float64)."""
    if impl == "reference":
        return reference.nearest_token(vectors, table)
    if impl == "triton":
        from kernels.nearest import triton

        return triton.nearest_token(vectors, table, inverse_norms)
    if impl == "native":
        return cpu.search(vectors, table, cpu.pack(table))
    return cpu.blocked_search(vectors, table, inverse_norms)


@_operator.register_fake
def _(vectors: Tensor, table: Tensor, inverse_norms: Tensor, impl: str) -> tuple[Tensor, Tensor, Tensor]:
    rows = vectors.shape[0]
    return (
        vectors.new_empty(rows, dtype=torch.int64),
        vectors.new_empty(rows, dtype=torch.float64),
        vectors.new_empty(rows, dtype=torch.float64),
    )
