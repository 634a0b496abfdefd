"""The expected embedding on a GPU: weights in two halves of the table's own type, then one product with the table as it lies.

A weight w is kept as the pair (h, l): h is w rounded to the table's 16-bit type, and l is w − h rounded to it. Of bf16, which
has 8 bits of precision, the pair has 16. Both are multiplied with the rows of the table by matrix instructions and summed in
float32. So the table is read once and never converted. Sums over a part of the vocabulary lie in scratch memory of S · B · D
floats, and one more kernel adds them. Nothing waits for the device.

B rows, V tokens, D embedding width, S parts of the vocabulary.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import tuning
from kernels.belief import status_of
from kernels.gpu import power_of_two, splits
from kernels.tuning import Launch

_LOOK = 1024
# What float16 weights are multiplied by, so that small ones and their rests are not rounded to its coarse steps near 0.
_F16_SCALE = 2.0**14


@triton.jit  # type: ignore[untyped-decorator]
def _leaders_kernel(  # type: ignore[no-untyped-def]
    logits, logits_stride, maxima, places, nans, V, span, BLOCK: tl.constexpr,
):  # fmt: skip
    """The largest logit of a row's part that is no NaN, its lowest id, and whether there is a NaN."""
    row = tl.program_id(0)
    part = tl.program_id(1)
    best = tl.full([], float("-inf"), dtype=tl.float32)
    place = tl.full([], 0, dtype=tl.int64) + V
    bad = tl.full([], 0, dtype=tl.int32)
    for start in range(part * span, tl.minimum(V, (part + 1) * span), BLOCK):
        tokens = start + tl.arange(0, BLOCK)
        z = tl.load(logits + row.to(tl.int64) * logits_stride + tokens, mask=tokens < V, other=float("-inf")).to(
            tl.float32
        )
        bad = tl.maximum(bad, tl.max((z != z).to(tl.int32), axis=0))
        z = tl.where(z == z, z, float("-inf"))
        top = tl.max(z, axis=0)
        first = tl.min(tl.where((z == top) & (tokens < V), tokens, V), axis=0).to(tl.int64)
        place = tl.where((top > best) | (place == V), first, place)
        best = tl.maximum(best, top)
    at = row * tl.num_programs(1) + part
    tl.store(maxima + at, best)
    tl.store(places + at, place)
    tl.store(nans + at, bad)


@triton.jit  # type: ignore[untyped-decorator]
def _weights_kernel(  # type: ignore[no-untyped-def]
    logits, logits_stride, maximum, inverse, argmax, high, low, totals, energies, V, span, factor, BLOCK: tl.constexpr,
):  # fmt: skip
    """w = exp((z − max z) / T) in two halves, and what its parts sum to: Σ w and Σ w (z − max z) / T."""
    row = tl.program_id(0)
    part = tl.program_id(1)
    m = tl.load(maximum + row)
    inv = tl.load(inverse + row)
    best = tl.load(argmax + row)
    total = tl.zeros([BLOCK], dtype=tl.float32)
    energy = tl.zeros([BLOCK], dtype=tl.float32)
    for start in range(part * span, tl.minimum(V, (part + 1) * span), BLOCK):
        tokens = start + tl.arange(0, BLOCK)
        held = tokens < V
        z = tl.load(logits + row.to(tl.int64) * logits_stride + tokens, mask=held, other=float("-inf")).to(tl.float32)
        # An inverse of 0 marks temperature 0 and rows that are no belief: the argmax token takes all.
        s = tl.where(inv > 0, (z - m) * inv, float("-inf"))
        w = tl.where(inv > 0, tl.exp(s), tl.where(tokens == best, 1.0, 0.0))
        w = tl.where(held, w, 0.0)
        energy += tl.where(w > 0, w * tl.where(s > -1e30, s, 0.0), 0.0)
        scaled = w * factor
        h = scaled.to(high.dtype.element_ty)
        rest = (scaled - h.to(tl.float32)).to(low.dtype.element_ty)
        at = row.to(tl.int64) * V + tokens
        tl.store(high + at, h, mask=held)
        tl.store(low + at, rest, mask=held)
        # Of what the halves stand for, so that weights sum to 1 after the division.
        total += tl.where(held, h.to(tl.float32) + rest.to(tl.float32), 0.0)
    at = row * tl.num_programs(1) + part
    tl.store(totals + at, tl.sum(total, axis=0))
    tl.store(energies + at, tl.sum(energy, axis=0))


@triton.jit  # type: ignore[untyped-decorator]
def add_products(  # type: ignore[no-untyped-def]
    acc, high, low, at, inside, table, table_stride, column_stride, tokens, held, columns, D,
    HALVES: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """acc [BB, BD] + Σ w E over some tokens [BV], those that are `held`, whose weights lie `at` [BB, BV] where `inside`."""
    h = tl.load(high + at, mask=inside, other=0.0)  # [BB, BV]
    e = tl.load(
        table + tokens[:, None].to(tl.int64) * table_stride + columns[None, :].to(tl.int64) * column_stride,
        mask=held[:, None] & (columns < D)[None, :],
        other=0.0,
    )  # [BV, BD]
    if WIDEN:
        h, e = h.to(tl.float32), e.to(tl.float32)
    acc = tl.dot(h, e, acc, input_precision="ieee")
    if HALVES:
        rest = tl.load(low + at, mask=inside, other=0.0)
        if WIDEN:
            rest = rest.to(tl.float32)
        acc = tl.dot(rest, e, acc, input_precision="ieee")
    return acc


@triton.jit  # type: ignore[untyped-decorator]
def _product_kernel(  # type: ignore[no-untyped-def]
    high, low, table, table_stride, column_stride, sums, B, V, D, span,
    HALVES: tl.constexpr, WIDEN: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """Σ w E over a part of the vocabulary, for a block of rows and of columns."""
    part = tl.program_id(0)
    columns = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)  # [BD]
    rows = tl.program_id(2) * BLOCK_B + tl.arange(0, BLOCK_B)  # [BB]
    acc = tl.zeros([BLOCK_B, BLOCK_D], dtype=tl.float32)
    for start in tl.range(part * span, tl.minimum(V, (part + 1) * span), BLOCK_V, num_stages=STAGES):
        tokens = start + tl.arange(0, BLOCK_V)  # [BV]
        inside = (rows < B)[:, None] & (tokens < V)[None, :]
        at = rows[:, None].to(tl.int64) * V + tokens[None, :]
        acc = add_products(
            acc,
            high,
            low,
            at,
            inside,
            table,
            table_stride,
            column_stride,
            tokens,
            tokens < V,
            columns,
            D,
            HALVES,
            WIDEN,
        )
    tl.store(
        sums + (part.to(tl.int64) * B + rows)[:, None] * D + columns[None, :],
        acc,
        mask=(rows < B)[:, None] & (columns < D)[None, :],
    )


@triton.jit  # type: ignore[untyped-decorator]
def _merge_kernel(  # type: ignore[no-untyped-def]
    sums, divisor, rest, basis, vectors, parts, B, D, K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """The parts' sums added in their order, and multiples `rest` [B, K] of K directions, over what the weights sum to."""
    row = tl.program_id(0)
    columns = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    total = tl.zeros([BLOCK_D], dtype=tl.float32)
    for part in range(parts):
        at = (part * B + row).to(tl.int64) * D
        total += tl.load(sums + at + columns, mask=columns < D, other=0.0)
    for k in tl.static_range(K):
        total += tl.load(rest + row * K + k) * tl.load(basis + k * D + columns, mask=columns < D, other=0.0)
    total /= tl.load(divisor + row)
    tl.store(vectors + row.to(tl.int64) * D + columns, total.to(vectors.dtype.element_ty), mask=columns < D)


@dataclass(frozen=True, eq=False)
class Facts:
    """What two walks over logits [B, V] tell; all [B]."""

    maximum: Tensor  # float32
    argmax: Tensor  # int64, the lowest id of equal ones
    status: Tensor  # int32: see `belief.status_of`
    total: Tensor  # float32: Σ w
    entropy: Tensor  # float32, nats
    max_probability: Tensor  # float32


def leaders(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(largest logit that is no NaN [B] float32, its lowest id [B] int64, status [B] int32)."""
    rows, vocabulary = logits.shape
    if not rows:
        ids = torch.empty(0, dtype=torch.int64, device=logits.device)
        return torch.empty(0, device=logits.device), ids, ids.int()
    logits = logits if logits.stride(1) == 1 else logits.contiguous()
    parts, span = _looks(rows, vocabulary, logits.device)
    maxima = torch.empty(rows, parts, device=logits.device)
    places = torch.empty(rows, parts, dtype=torch.int64, device=logits.device)
    nans = torch.empty(rows, parts, dtype=torch.int32, device=logits.device)
    _leaders_kernel[(rows, parts)](logits, logits.stride(0), maxima, places, nans, vocabulary, span, BLOCK=_LOOK)
    maximum = maxima.amax(dim=1)
    # Parts come in the order of their ids.
    part = (maxima == maximum[:, None]).to(torch.uint8).argmax(dim=1, keepdim=True)
    return maximum, places.gather(1, part)[:, 0], status_of(maximum, nans.amax(dim=1) > 0)


def mean(logits: Tensor, table: Tensor, temperature: Tensor) -> tuple[Tensor, Facts]:
    """(vectors [B, D] in the table's dtype, facts) of logits [B, V] with one temperature [B] each.

    A row that is no belief gets the row of the table of its largest logit; its status says what is wrong.
    """
    rows, vocabulary = logits.shape
    logits = logits if logits.stride(1) == 1 else logits.contiguous()
    maximum, argmax, status = leaders(logits)
    if not rows:
        return table.new_empty(0, table.shape[1]), Facts(maximum, argmax, status, maximum, maximum, maximum)
    frozen = (temperature == 0) | (status > 0)
    inverse = torch.where(frozen, 0.0, 1 / torch.where(frozen, 1.0, temperature))
    parts, span = _looks(rows, vocabulary, logits.device)
    half, factor = half_of(table)
    high, low = torch.empty(2, rows, vocabulary, dtype=half, device=logits.device)
    totals, energies = torch.empty(2, rows, parts, device=logits.device)
    _weights_kernel[(rows, parts)](
        logits, logits.stride(0), maximum, inverse, argmax, high, low, totals, energies, vocabulary, span, factor,
        BLOCK=_LOOK,
    )  # fmt: skip
    divisor = totals.sum(dim=1)
    total = divisor / factor
    entropy = (total.log() - energies.sum(dim=1) / total).clamp_min(0)
    facts = Facts(maximum, argmax, status, total, entropy, 1 / total)
    return _product(high, low, table, divisor), facts


def weighted_rows(weights: Tensor, table: Tensor) -> Tensor:
    """Σ_v q_v E_v for weights q [B, V] float32 >= 0 and a table [V, D], in float32 [B, D]."""
    half, factor = half_of(table)
    scaled = weights if factor == 1 else weights * factor
    high = scaled.to(half).contiguous()
    low = (scaled - high).to(half)
    divisor = torch.full((len(weights),), factor, dtype=torch.float32, device=weights.device)
    return _product(high, low, table, divisor, dtype=torch.float32)


def expected_embedding(logits: Tensor, table: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(vectors [B, D], dropped mass [B] float64, rows read [B] int64, status [B] int32): all are read, nothing is dropped."""
    vectors, facts = mean(logits, table, temperature)
    dropped = torch.zeros(len(logits), dtype=torch.float64, device=logits.device)
    return vectors, dropped, torch.full((len(logits),), logits.shape[1], device=logits.device), facts.status


def half_of(table: Tensor) -> tuple[torch.dtype, float]:
    """Of which type a weight's halves are, and what it is multiplied by before; a float32 table takes weights whole."""
    return table.dtype, _F16_SCALE if table.dtype == torch.float16 else 1.0


def _looks(rows: int, vocabulary: int, device: torch.device) -> tuple[int, int]:
    """Into how many parts a walk over logits is cut, and how many tokens one has."""
    parts = splits(vocabulary, _LOOK, rows, device)
    span = triton.cdiv(triton.cdiv(vocabulary, parts), _LOOK) * _LOOK
    return triton.cdiv(vocabulary, span), span


def _product(high: Tensor, low: Tensor, table: Tensor, divisor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    rows, width = len(high), table.shape[1]
    if not rows or not width:
        return torch.empty(rows, width, dtype=dtype or table.dtype, device=table.device)
    return merge(_sums(high, low, table, product_blocks(rows, table)), divisor, dtype or table.dtype)


def _sums(high: Tensor, low: Tensor, table: Tensor, launch: Launch) -> Tensor:
    """Σ w E over each part of the vocabulary, [S, B, D]."""
    rows, vocabulary = high.shape
    width = table.shape[1]
    blocks = triton.cdiv(width, launch["BLOCK_D"]), triton.cdiv(rows, launch["BLOCK_B"])
    parts = splits(vocabulary, launch["BLOCK_V"], blocks[0] * blocks[1], table.device)
    span = triton.cdiv(triton.cdiv(vocabulary, parts), launch["BLOCK_V"]) * launch["BLOCK_V"]
    parts = triton.cdiv(vocabulary, span)
    sums = torch.empty(parts, rows, width, device=table.device)
    # The interpreter multiplies 16-bit numbers as the integers it stores them in: there, WIDEN converts first.
    _product_kernel[(parts, *blocks)](
        high, low, table, *table.stride(), sums, rows, vocabulary, width, span,
        HALVES=table.dtype != torch.float32, WIDEN=table.device.type != "cuda", **launch,
    )  # fmt: skip
    return sums


def merge(
    sums: Tensor, divisor: Tensor, dtype: torch.dtype, rest: Tensor | None = None, basis: Tensor | None = None
) -> Tensor:
    """The sums of parts [S, B, D] added, with multiples `rest` [B, K] of directions [K, D], over a divisor [B]."""
    parts, rows, width = sums.shape
    vectors = torch.empty(rows, width, dtype=dtype, device=sums.device)
    columns = power_of_two(width, 16, 1024)
    _merge_kernel[(rows, triton.cdiv(width, columns))](
        sums, divisor, divisor if rest is None else rest, divisor if basis is None else basis, vectors, parts, rows, width,
        K=0 if basis is None else len(basis), BLOCK_D=columns,
    )  # fmt: skip
    return vectors


def product_blocks(rows: int, table: Tensor) -> Launch:
    """How a product of some rows of weights with a table is launched."""
    candidates = product_candidates(rows, table.shape[1], table.dtype)
    return tuning.chosen("product", _key(rows, table), candidates, table.device)


def product_candidates(rows: int, width: int, dtype: torch.dtype) -> list[Launch]:
    """The blocks that one program of the product may take, how many loads of them are under way, and by how many warps.

    All compile for sm_90a without spilled registers. No device has timed them yet.
    """
    block_b = power_of_two(rows, 16, 64)
    if dtype == torch.float32:
        shapes = [(32, 64, 2, 4), (32, 32, 3, 4), (32, 64, 2, 8)]
    else:
        shapes = [(64, 128, 4, 4), (64, 64, 4, 4), (128, 128, 3, 8)]
        # Others spill where a row's sums are many.
        if block_b < 64:
            shapes += [(128, 64, 3, 4), (32, 256, 4, 8)]
        if block_b != 32:
            shapes += [(64, 128, 4, 8)]
    found = [
        {
            "BLOCK_B": block_b,
            "BLOCK_V": tokens,
            "BLOCK_D": power_of_two(width, 16, columns),
            "STAGES": stages,
            "num_warps": warps,
        }
        for tokens, columns, stages, warps in shapes
    ]
    return [launch for place, launch in enumerate(found) if launch not in found[:place]]


def tune(table: Tensor, rows: int, clock: tuning.Clock) -> Launch:
    """Time the product's candidates for some rows at once, unless that was done before on such a device; return the fastest."""
    high, low = torch.zeros(2, rows, len(table), dtype=half_of(table)[0], device=table.device)
    return tuning.tune(
        "product",
        _key(rows, table),
        product_candidates(rows, table.shape[1], table.dtype),
        table.device,
        lambda launch: _sums(high, low, table, launch),
        clock,
    )


def _key(rows: int, table: Tensor) -> str:
    return f"{str(table.dtype).removeprefix('torch.')} [{len(table)}, {table.shape[1]}] x {power_of_two(rows, 16, 64)}"
