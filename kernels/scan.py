"""What the compiled code learns about beliefs in one walk over logits, and the sums over table rows that follow.

The encoders and the expected embedding share these on the CPU; call `native.refusal` first. B rows, V tokens, D width.
"""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from kernels import native
from kernels.belief import invalid_rows
from kernels.native import pointer
from kernels.table import LowRank

# LOOK of csrc/weights.h.
_LOOK = 64


@dataclass(frozen=True, eq=False)
class Scan:
    """Facts about B beliefs. Weights are w = exp(s) with s = (z − maximum) / T; tensors are [B] unless said otherwise."""

    logits: Tensor  # [B, V] float32, rows contiguous
    temperature: Tensor  # float32
    looks: Tensor  # [B, V / 64 rounded up] float32: the largest logit of every 64 tokens
    maximum: Tensor  # float32
    argmax: Tensor  # int64, the lowest of equal ones
    total: Tensor  # float64: Σ w
    entropy: Tensor  # float32, nats: of softmax(z / T)
    max_probability: Tensor  # float32
    plain_entropy: Tensor | None  # the same two of softmax(z)
    plain_max_probability: Tensor | None
    floor: Tensor  # float32: tokens with w <= floor are left out
    kept: Tensor  # float64: Σ w over what is kept
    dropped: Tensor  # float64: Σ w over what is left out
    cost: Tensor  # float64: what leaving it out costs, in the same unit: see `scan`
    rest: Tensor  # [B, K] float64: Σ w A_v over what is left out
    top_values: Tensor  # [B, k] float32: the largest logits
    top_weights: Tensor  # [B, k] float32: their w
    top_ids: Tensor  # [B, k] int64; equal logits by ascending id
    basis: Tensor | None  # [K, D] float32: what `rest` counts of; None: what is left out does not count

    def where(self, mixes: Tensor) -> "Scan":
        """The same beliefs where `mixes`, and the argmax token alone elsewhere."""
        one = torch.ones_like(self.kept)
        return replace(
            self,
            temperature=torch.where(mixes, self.temperature, 0.0),
            total=torch.where(mixes, self.total, one),
            kept=torch.where(mixes, self.kept, one),
            dropped=torch.where(mixes, self.dropped, 0.0),
            cost=torch.where(mixes, self.cost, 0.0),
            top_weights=torch.where(mixes[:, None], self.top_weights, (self.top_ids == self.argmax[:, None]).float()),
        )


def scan(
    logits: Tensor,
    temperature: Tensor,
    *,
    delta: float,
    low_rank: LowRank | None = None,
    top: int = 0,
    plain: bool = False,
) -> Scan:
    """The facts about each row of logits [B, V], and which tokens may be left out at a cost of at most `delta` Σ w.

    Leaving tokens out costs Σ w over them. With the `low_rank` of the table that is to be averaged it costs its `scale` times
    √Σ w²: `expectation` then takes their rows to be those of A B.

    Raises:
        InvalidBelief: a row holds NaN or +inf, or nothing but −inf.
    """
    z = logits.detach().float()
    if z.stride(-1) != 1:
        z = z.contiguous()
    rows, vocabulary = z.shape
    top = min(top, vocabulary)
    temperature = temperature.contiguous()
    status = torch.empty(rows, dtype=torch.int32)
    maximum, entropy, max_probability, plain_entropy, plain_max_probability, floor = torch.empty(6, rows).unbind()
    argmax = torch.empty(rows, dtype=torch.int64)
    total, kept, dropped, cost = torch.empty(4, rows, dtype=torch.float64).unbind()
    top_values, top_weights = torch.empty(2, rows, top).unbind()
    top_ids = torch.empty(rows, top, dtype=torch.int64)
    rank = len(low_rank.basis) if low_rank else 0
    found = Scan(
        logits=z,
        temperature=temperature,
        looks=torch.empty(rows, -(-vocabulary // _LOOK)),
        maximum=maximum,
        argmax=argmax,
        total=total,
        entropy=entropy,
        max_probability=max_probability,
        plain_entropy=plain_entropy if plain else None,
        plain_max_probability=plain_max_probability if plain else None,
        floor=floor,
        kept=kept,
        dropped=dropped,
        cost=cost,
        rest=torch.empty(rows, rank, dtype=torch.float64),
        top_values=top_values,
        top_weights=top_weights,
        top_ids=top_ids,
        basis=low_rank.basis if low_rank else None,
    )
    outputs = [getattr(found, field.name) for field in fields(found)[2:-1]]
    coordinates, scale = (pointer(low_rank.coordinates), low_rank.scale) if low_rank else (None, 1.0)
    native.library().belief_scan(
        pointer(z), rows, vocabulary, z.stride(0), pointer(temperature), delta, coordinates, rank, scale, top,
        *map(pointer, [status, *outputs]), native.threads(),
    )  # fmt: skip
    if status.any():
        raise invalid_rows(status.tolist())
    return found


def expectation(scan: Scan, table: Tensor) -> tuple[Tensor, Tensor]:
    """Σ w E / Σ w of each row, [B, D] float32, and how many rows of the table that took, [B] int64.

    Tokens that the scan leaves out count as their rows of A B, or do not count where it has none.
    """
    weight, is_bf16 = _readable(table)
    rows, vocabulary = scan.logits.shape
    vectors = torch.empty(rows, weight.shape[1])
    read = torch.empty(rows, dtype=torch.int64)
    beliefs = (scan.looks, scan.temperature, scan.maximum, scan.argmax, scan.floor, scan.kept)
    inputs = (*beliefs, scan.dropped, scan.rest, scan.basis, weight)
    native.library().belief_expectation(
        pointer(scan.logits), rows, vocabulary, scan.logits.stride(0), *map(pointer, inputs), scan.rest.shape[1], is_bf16,
        weight.shape[1], pointer(vectors), pointer(read), native.threads(),
    )  # fmt: skip
    return vectors, read


def supports(scan: Scan) -> list[tuple[Tensor, Tensor]]:
    """For each row the kept tokens, ascending int32, and their weights w, float32."""
    vocabulary = scan.logits.shape[1]
    ids = torch.empty(vocabulary + 1, dtype=torch.int32)
    weights = torch.empty(vocabulary + 1)
    found = []
    for row, facts in enumerate(
        zip(scan.temperature.tolist(), scan.maximum.tolist(), scan.argmax.tolist(), scan.floor.tolist(), strict=True)
    ):
        count = native.library().belief_support(
            pointer(scan.logits[row]), vocabulary, pointer(scan.looks[row]), *facts, pointer(ids), pointer(weights)
        )
        found.append((ids[:count].clone(), weights[:count].clone()))
    return found


def mix(table: Tensor, rows: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Σ w E over each row's (ids, weights), [B, D] float32, summed in the order given."""
    weight, is_bf16 = _readable(table)
    offsets = torch.tensor([0, *(len(ids) for ids, _ in rows)], dtype=torch.int64).cumsum(0)
    ids = torch.cat([ids.to(torch.int32) for ids, _ in rows]) if rows else torch.empty(0, dtype=torch.int32)
    weights = torch.cat([weights.float() for _, weights in rows]) if rows else torch.empty(0)
    vectors = torch.empty(len(rows), weight.shape[1])
    inputs = (offsets, ids, weights, vectors)
    native.library().mix_rows(
        pointer(weight), is_bf16, weight.shape[1], len(rows), *map(pointer, inputs), native.threads()
    )
    return vectors


def sample(scan: Scan, uniform: Tensor) -> Tensor:
    """The token at which each row's cumulative belief passes uniform [B], [B] int64."""
    ids = torch.empty(len(uniform), dtype=torch.int64)
    goals = uniform.double().contiguous()
    rows, vocabulary = scan.logits.shape
    inputs = (scan.temperature, scan.maximum, scan.argmax, scan.total, goals, ids)
    native.library().belief_sample(
        pointer(scan.logits), rows, vocabulary, scan.logits.stride(0), *map(pointer, inputs), native.threads()
    )
    return ids


def add_gumbel(scan: Scan, keys: Tensor) -> Tensor:
    """s + Gumbel noise of (key, token), [B, V] float32; rows at temperature 0 are meaningless."""
    noisy = torch.empty(scan.logits.shape)
    rows, vocabulary = scan.logits.shape
    inputs = (scan.temperature, scan.maximum, keys, noisy)
    native.library().add_gumbel(
        pointer(scan.logits), rows, vocabulary, scan.logits.stride(0), *map(pointer, inputs), native.threads()
    )
    return noisy


def _readable(table: Tensor) -> tuple[Tensor, int]:
    table = table.detach().contiguous()
    return table, int(table.dtype == torch.bfloat16)
