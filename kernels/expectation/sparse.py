"""The expected embedding on a GPU of likely tokens only, with the certificate of the CPU's: threshold, union, gather.

Three walks over logits and a product. The first finds maxima (triton.py). The second sums w or w² by how unlikely tokens are,
in classes of a quarter nat, which tells from which class on tokens may be left out. The third writes the weights of those that
are kept in two halves and sums the low-rank stand-ins of the others. What any row keeps is gathered from the table once, for all
rows. How many those are stays on the device: nothing waits for it.

B rows, V tokens, D embedding width, K directions of the stand-ins, S parts of the vocabulary.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.expectation.triton import Facts, add_products, half_of, leaders, merge, product_blocks
from kernels.gpu import splits
from kernels.table import LowRank
from kernels.tuning import Launch

# Of a quarter nat each, as STEPS_PER_NAT of csrc/belief.cpp has them: down to weights of exp(-32), of which a million cost less
# than any tolerance.
_CLASSES = 128
# Tokens that a program looks at together: in the walk that sorts them into classes, and in the one that weighs them.
_SORT, _WEIGH = 128, 1024
# What float32 sums and the exponentials of a GPU may be off by: the certificate is larger by it.
_ROUNDING = 1 + 2.0**-12


@triton.jit  # type: ignore[untyped-decorator]
def _class_of(s, CLASSES: tl.constexpr):  # type: ignore[no-untyped-def]
    """How unlikely tokens with s = (z − max z) / T are, in quarters of a nat; all beyond the last class are in it."""
    return tl.minimum(tl.floor(-4.0 * tl.maximum(s, -1e6)), CLASSES - 1.0).to(tl.int32)


@triton.jit
def _weights(logits, tokens, held, m, inv, best):  # type: ignore[no-untyped-def]
    """s = (z − max z) / T of some tokens of a row, and w = exp(s), 0 where they are not held; at T = 0 the best one has s = 0."""
    z = tl.load(logits + tokens, mask=held, other=float("-inf")).to(tl.float32)
    s = tl.where(inv > 0, (z - m) * inv, tl.where(tokens == best, 0.0, float("-inf")))
    return s, tl.where(held, tl.exp(s), 0.0)


@triton.jit  # type: ignore[untyped-decorator]
def _classes_kernel(  # type: ignore[no-untyped-def]
    logits, logits_stride, maximum, inverse, argmax, sums, masses, V, span,
    SQUARED: tl.constexpr, CLASSES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Σ w² (or Σ w) of each class, and Σ w, over a part of a row."""
    row = tl.program_id(0)
    part = tl.program_id(1)
    m = tl.load(maximum + row)
    inv = tl.load(inverse + row)
    best = tl.load(argmax + row)
    classes = tl.arange(0, CLASSES)
    found = tl.zeros([CLASSES], dtype=tl.float32)
    mass = tl.zeros([BLOCK], dtype=tl.float32)
    for start in range(part * span, tl.minimum(V, (part + 1) * span), BLOCK):
        tokens = start + tl.arange(0, BLOCK)
        held = tokens < V
        s, w = _weights(logits + row.to(tl.int64) * logits_stride, tokens, held, m, inv, best)
        mass += w
        cost = w * w if SQUARED else w
        found += tl.sum(tl.where(_class_of(s, CLASSES)[:, None] == classes[None, :], cost[:, None], 0.0), axis=0)
    at = row * tl.num_programs(1) + part
    tl.store(sums + at * CLASSES + classes, found)
    tl.store(masses + at, tl.sum(mass, axis=0))


@triton.jit  # type: ignore[untyped-decorator]
def _kept_kernel(  # type: ignore[no-untyped-def]
    logits, logits_stride, maximum, inverse, argmax, floors, coordinates, high, low, needed, facts, counts, V, span, factor,
    K: tl.constexpr, CLASSES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The weights of what a row keeps, in two halves, and zeros for the rest; which tokens are needed at all; sums.

    facts [5 + K, B, S]: Σ of the kept halves; Σ w of all; Σ w s of all; Σ w and Σ w² of what is left out; Σ w A_v of that.
    """
    row = tl.program_id(0)
    part = tl.program_id(1)
    m = tl.load(maximum + row)
    inv = tl.load(inverse + row)
    best = tl.load(argmax + row)
    floor = tl.load(floors + row)
    kept_mass = tl.zeros([BLOCK], dtype=tl.float32)
    mass = tl.zeros([BLOCK], dtype=tl.float32)
    energy = tl.zeros([BLOCK], dtype=tl.float32)
    left = tl.zeros([BLOCK], dtype=tl.float32)
    squares = tl.zeros([BLOCK], dtype=tl.float32)
    first = tl.zeros([BLOCK], dtype=tl.float32)
    second = tl.zeros([BLOCK], dtype=tl.float32)
    count = tl.zeros([BLOCK], dtype=tl.int32)
    for start in range(part * span, tl.minimum(V, (part + 1) * span), BLOCK):
        tokens = start + tl.arange(0, BLOCK)
        held = tokens < V
        s, w = _weights(logits + row.to(tl.int64) * logits_stride, tokens, held, m, inv, best)
        is_kept = held & (_class_of(s, CLASSES) < floor)
        mass += w
        energy += tl.where(w > 0, w * tl.where(s > -1e30, s, 0.0), 0.0)
        rest = tl.where(is_kept, 0.0, w)
        left += rest
        squares += rest * rest
        if K > 0:
            first += rest * tl.load(coordinates + tokens, mask=held, other=0.0)
        if K > 1:
            second += rest * tl.load(coordinates + V + tokens, mask=held, other=0.0)
        scaled = tl.where(is_kept, w * factor, 0.0)
        h = scaled.to(high.dtype.element_ty)
        lower = (scaled - h.to(tl.float32)).to(low.dtype.element_ty)
        at = row.to(tl.int64) * V + tokens
        tl.store(high + at, h, mask=held)
        tl.store(low + at, lower, mask=held)
        kept_mass += h.to(tl.float32) + lower.to(tl.float32)
        count += is_kept.to(tl.int32)
        # Rows that need the same token write the same.
        tl.store(needed + tokens, tl.full([BLOCK], 1, dtype=tl.int8), mask=is_kept)
    parts = tl.num_programs(1)
    size = tl.num_programs(0) * parts
    at = row * parts + part
    tl.store(counts + at, tl.sum(count, axis=0))
    tl.store(facts + at, tl.sum(kept_mass, axis=0))
    tl.store(facts + size + at, tl.sum(mass, axis=0))
    tl.store(facts + 2 * size + at, tl.sum(energy, axis=0))
    tl.store(facts + 3 * size + at, tl.sum(left, axis=0))
    tl.store(facts + 4 * size + at, tl.sum(squares, axis=0))
    if K > 0:
        tl.store(facts + 5 * size + at, tl.sum(first, axis=0))
    if K > 1:
        tl.store(facts + 6 * size + at, tl.sum(second, axis=0))


@triton.jit  # type: ignore[untyped-decorator]
def _gather_kernel(  # type: ignore[no-untyped-def]
    high, low, ids, count, table, table_stride, column_stride, sums, B, V, D,
    HALVES: tl.constexpr, WIDEN: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """Σ w E over a part of the tokens that are needed, `ids` [count], for a block of rows and of columns.

    Weights lie as the ids do, [B, V], and count up to there.
    """
    part = tl.program_id(0)
    columns = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)  # [BD]
    rows = tl.program_id(2) * BLOCK_B + tl.arange(0, BLOCK_B)  # [BB]
    number = tl.load(count)
    span = tl.cdiv(tl.cdiv(number, tl.num_programs(0)), BLOCK_V) * BLOCK_V
    acc = tl.zeros([BLOCK_B, BLOCK_D], dtype=tl.float32)
    for start in tl.range(part * span, tl.minimum(number, (part + 1) * span), BLOCK_V, num_stages=STAGES):
        places = start + tl.arange(0, BLOCK_V)  # [BV]
        tokens = tl.load(ids + places, mask=places < number, other=0)
        inside = (rows < B)[:, None] & (places < number)[None, :]
        at = rows[:, None].to(tl.int64) * V + places[None, :]
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
            places < number,
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


def mean(
    logits: Tensor, table: Tensor, temperature: Tensor, *, delta: float, low_rank: LowRank | None
) -> tuple[Tensor, Facts, Tensor, Tensor]:
    """(vectors [B, D] in the table's dtype, facts, error / (2 max‖E_v‖) at most [B] float64, tokens kept [B] int64).

    Tokens are left out as csrc/belief.cpp leaves them out: those with w <= exp(−k/4) for the smallest k >= 1 at which the error
    is at most `delta` · 2 max‖E_v‖. Their rows are those of the `low_rank` table; without one they do not count and the rest is
    renormalised. A row that is no belief gets the row of the table of its largest logit; its status says what is wrong.
    """
    rows, vocabulary = logits.shape
    device, width = table.device, table.shape[1]
    logits = logits if logits.stride(1) == 1 else logits.contiguous()
    maximum, argmax, status = leaders(logits)
    if not rows:
        facts = Facts(maximum, argmax, status, maximum, maximum, maximum)
        return table.new_empty(0, width), facts, maximum.double(), argmax
    frozen = (temperature == 0) | (status > 0)
    inverse = torch.where(frozen, 0.0, 1 / torch.where(frozen, 1.0, temperature))
    belief = (logits, logits.stride(0), maximum, inverse, argmax)
    floors = _floors(belief, vocabulary, delta, low_rank)
    rank = len(low_rank.basis) if low_rank else 0
    half, factor = half_of(table)
    high, low = torch.empty(2, rows, vocabulary, dtype=half, device=device)
    needed = torch.zeros(vocabulary, dtype=torch.int8, device=device)
    parts, span = _walks(vocabulary, _WEIGH, rows, device)
    sums = torch.empty(5 + rank, rows, parts, device=device)
    counts = torch.empty(rows, parts, dtype=torch.int32, device=device)
    _kept_kernel[(rows, parts)](
        *belief, floors, low_rank.coordinates if low_rank else maximum, high, low, needed, sums, counts, vocabulary, span, factor,
        K=rank, CLASSES=_CLASSES, BLOCK=_WEIGH,
    )  # fmt: skip
    kept, total, energy, left, squares, *rest = sums.double().sum(dim=2)
    entropy = (total.log() - energy / total).clamp_min(0).float()
    cost = (low_rank.scale * squares.sqrt() if low_rank else left) / total * _ROUNDING
    # Where nothing stands in for what is left out, it does not count.
    divisor = (kept + factor * left).float() if low_rank else kept.float()
    stand_ins = (factor * torch.stack(rest)).float().T.contiguous() if low_rank else None
    found = _gathered(high, low, needed, table, divisor, stand_ins, low_rank)
    facts = Facts(maximum, argmax, status, total.float(), entropy, (1 / total).float())
    return found, facts, cost, counts.sum(dim=1)


def _floors(
    belief: tuple[Tensor, int, Tensor, Tensor, Tensor], vocabulary: int, delta: float, low_rank: LowRank | None
) -> Tensor:
    """From which class on each row leaves tokens out, [B] int32: the first at which that is cheap enough, but never the 0th."""
    logits, _, maximum, _, _ = belief
    rows, device = len(maximum), logits.device
    parts, span = _walks(vocabulary, _SORT, rows, device)
    sums = torch.empty(rows, parts, _CLASSES, device=device)
    masses = torch.empty(rows, parts, device=device)
    _classes_kernel[(rows, parts)](
        *belief, sums, masses, vocabulary, span, SQUARED=low_rank is not None, CLASSES=_CLASSES, BLOCK=_SORT
    )
    from_here = sums.double().sum(dim=1).flip(1).cumsum(dim=1).flip(1)
    cost = _ROUNDING * (low_rank.scale * from_here.sqrt() if low_rank else from_here)
    allowed = cost <= delta * masses.double().sum(dim=1, keepdim=True)
    allowed[:, 0] = False
    # Costs fall from class to class, so those that are allowed come last.
    return _CLASSES - allowed.sum(dim=1, dtype=torch.int32)


def _gathered(
    high: Tensor,
    low: Tensor,
    needed: Tensor,
    table: Tensor,
    divisor: Tensor,
    rest: Tensor | None,
    low_rank: LowRank | None,
) -> Tensor:
    """The means over what is needed, with stand-ins `rest` [B, K] in multiples of the directions."""
    rows, vocabulary = high.shape
    width = table.shape[1]
    if not width:
        return torch.empty(rows, 0, dtype=table.dtype, device=table.device)
    places = needed.cumsum(dim=0, dtype=torch.int32)
    # What is not needed goes to one place beyond the last.
    target = torch.where(needed > 0, places - 1, vocabulary).long()
    ids = torch.zeros(vocabulary + 1, dtype=torch.int32, device=table.device)
    ids.scatter_(0, target, torch.arange(vocabulary, dtype=torch.int32, device=table.device))
    high, low = (half.index_select(1, ids[:-1]) for half in (high, low))
    launch = gather_launch(product_blocks(rows, table))
    blocks = triton.cdiv(width, launch["BLOCK_D"]), triton.cdiv(rows, launch["BLOCK_B"])
    parts = splits(vocabulary, launch["BLOCK_V"], blocks[0] * blocks[1], table.device)
    sums = torch.empty(parts, rows, width, device=table.device)
    # The interpreter multiplies 16-bit numbers as the integers it stores them in: there, WIDEN converts first.
    _gather_kernel[(parts, *blocks)](
        high, low, ids, places[-1:], table, *table.stride(), sums, rows, vocabulary, width,
        HALVES=table.dtype != torch.float32, WIDEN=table.device.type != "cuda", **launch,
    )  # fmt: skip
    return merge(sums, divisor, table.dtype, rest, low_rank.basis if low_rank else None)


def gather_launch(product: Launch) -> Launch:
    """How the product over gathered rows is launched where the one over all is launched so.

    A row's place has to be there before the row can be asked for: with twice the stages as many rows are under way.
    """
    return {**product, "STAGES": 2 * product["STAGES"]}


def _walks(vocabulary: int, block: int, rows: int, device: torch.device) -> tuple[int, int]:
    """Into how many parts a walk over logits in blocks is cut, and how many tokens one has."""
    parts = splits(vocabulary, block, rows, device)
    span = triton.cdiv(triton.cdiv(vocabulary, parts), block) * block
    return triton.cdiv(vocabulary, span), span
