"""Attention over the vocabulary on a GPU: each program walks a part of the vocabulary for a block of rows.

The keys of a block of tokens come from memory once; where the tables are tied, its values are the same bytes, still in the
second cache. Sums over values lie in scratch memory of S · B · W floats, small enough for that cache too. B rows, V tokens,
D query width, W value width, S parts of the vocabulary, K top-k.
"""

import torch
import triton
import triton.language as tl

from kernels.attention.call import Call
from kernels.attention.partial import VocabularyPartial, merge_stacked
from kernels.expectation.triton import half_of
from kernels.gpu import power_of_two, splits


@triton.jit  # type: ignore[untyped-decorator]
def _attention_kernel(  # type: ignore[no-untyped-def]
    hidden, hidden_stride, head, head_stride, table, table_stride, inverse, bias,
    maxima, totals, energies, argmaxes, sums, top_values, top_ids, B, V, D, W, span, scale, softcap,
    HAS_BIAS: tl.constexpr, HAS_SOFTCAP: tl.constexpr, K: tl.constexpr, SLOTS: tl.constexpr, WIDEN: tl.constexpr,
    HALVES: tl.constexpr, FACTOR: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    part = tl.program_id(0)
    rows = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)  # [BB]
    real = rows < B
    at = part * B + rows
    inv = tl.load(inverse + rows, mask=real, other=1.0)
    m = tl.full([BLOCK_B], float("-inf"), dtype=tl.float32)
    best = tl.full([BLOCK_B], -1, dtype=tl.int64)
    total = tl.zeros([BLOCK_B], dtype=tl.float32)
    energy = tl.zeros([BLOCK_B], dtype=tl.float32)
    slots = tl.arange(0, SLOTS)
    # Slots beyond K hold +inf, so that nothing ever displaces them.
    values = tl.where(slots[None, :] < K, float("-inf"), float("inf")) + tl.zeros([BLOCK_B, SLOTS], dtype=tl.float32)
    ids = tl.full([BLOCK_B, SLOTS], -1, dtype=tl.int64)
    for d in range(0, W, BLOCK_D):
        columns = d + tl.arange(0, BLOCK_D)
        tl.store(
            sums + at[:, None].to(tl.int64) * W + columns[None, :],
            tl.zeros([BLOCK_B, BLOCK_D], dtype=tl.float32),
            mask=real[:, None] & (columns < W)[None, :],
        )
    for start in range(part * span, tl.minimum(V, (part + 1) * span), BLOCK_V):
        tokens = start + tl.arange(0, BLOCK_V)  # [BV]
        held = tokens < V
        z = tl.zeros([BLOCK_B, BLOCK_V], dtype=tl.float32)
        for d in range(0, D, BLOCK_D):
            columns = d + tl.arange(0, BLOCK_D)
            h = tl.load(
                hidden + rows[:, None].to(tl.int64) * hidden_stride + columns[None, :],
                mask=real[:, None] & (columns < D)[None, :],
                other=0.0,
            )  # [BB, BD]
            keys = tl.load(
                head + tokens[:, None].to(tl.int64) * head_stride + columns[None, :],
                mask=held[:, None] & (columns < D)[None, :],
                other=0.0,
            )  # [BV, BD]
            if WIDEN:
                h, keys = h.to(tl.float32), keys.to(tl.float32)
            z = tl.dot(h, tl.trans(keys), z, input_precision="ieee")
        z = z * scale
        if HAS_SOFTCAP:
            z = softcap * (1.0 - 2.0 / (tl.exp(2.0 * z / softcap) + 1.0))
        if HAS_BIAS:
            z += tl.load(bias + tokens, mask=held, other=0.0).to(tl.float32)[None, :]
        # NaN must not hide behind a maximum: it becomes +inf, which no belief has, and is refused like one.
        z = tl.where(z == z, z, float("inf"))
        z = tl.where(held[None, :], z, float("-inf"))
        top = tl.max(z, axis=1)
        places = tl.where(z == top[:, None], tokens[None, :], V)
        place = tl.min(places, axis=1).to(tl.int64)
        risen = top > m
        grown = tl.where(risen, top, m)
        best = tl.where(risen, place, best)
        started = grown > float("-inf")
        down = tl.where(started & (m > float("-inf")), m - grown, 0.0) * inv
        shrink = tl.where(m > float("-inf"), tl.exp(down), 0.0)
        shrink = tl.where((inv == 0.0) & risen, 0.0, shrink)
        s = tl.where(started[:, None] & (z > float("-inf")), (z - grown[:, None]) * inv[:, None], float("-inf"))
        w = tl.where(inv[:, None] > 0, tl.exp(s), tl.where(tokens[None, :] == best[:, None], 1.0, 0.0))
        w = tl.where(started[:, None] & held[None, :], w, 0.0)
        energy = shrink * (energy + down * total) + tl.sum(
            tl.where(w > 0, w * tl.where(s > -1e30, s, 0.0), 0.0), axis=1
        )
        total = shrink * total + tl.sum(w, axis=1)
        m = grown
        for d in range(0, W, BLOCK_D):
            columns = d + tl.arange(0, BLOCK_D)
            inside = real[:, None] & (columns < W)[None, :]
            place_of = sums + at[:, None].to(tl.int64) * W + columns[None, :]
            acc = tl.load(place_of, mask=inside, other=0.0) * shrink[:, None]
            rows_of_table = tl.load(
                table + tokens[:, None].to(tl.int64) * table_stride + columns[None, :],
                mask=held[:, None] & (columns < W)[None, :],
                other=0.0,
            )  # [BV, BD]
            if HALVES:
                # In two halves of the table's type, which is not converted: expectation/triton.py.
                high = (w * FACTOR).to(table.dtype.element_ty)
                low = (w * FACTOR - high.to(tl.float32)).to(table.dtype.element_ty)
                acc = tl.dot(high, rows_of_table, acc)
                acc = tl.dot(low, rows_of_table, acc)
            else:
                acc = tl.dot(w, rows_of_table.to(tl.float32), acc, input_precision="ieee")
            tl.store(place_of, acc, mask=inside)
        if K > 0:
            for _ in range(K):
                candidate = tl.max(z, axis=1)  # [BB]
                token = tl.min(tl.where(z == candidate[:, None], tokens[None, :], V), axis=1).to(tl.int64)
                least = tl.min(values, axis=1)
                # Of equal smallest entries the one with the highest id makes room.
                oldest = tl.max(tl.where(values == least[:, None], ids, -2), axis=1)
                slot = tl.min(
                    tl.where((values == least[:, None]) & (ids == oldest[:, None]), slots[None, :], SLOTS), axis=1
                )
                take = (slots[None, :] == slot[:, None]) & (candidate > least)[:, None]
                values = tl.where(take, candidate[:, None], values)
                ids = tl.where(take, token[:, None], ids)
                z = tl.where(tokens[None, :] == token[:, None], float("-inf"), z)
    tl.store(maxima + at, m, mask=real)
    tl.store(totals + at, total, mask=real)
    tl.store(energies + at, energy, mask=real)
    tl.store(argmaxes + at, best, mask=real)
    if K > 0:
        kept = real[:, None] & (slots < K)[None, :]
        tl.store(top_values + at[:, None] * K + slots[None, :], values, mask=kept)
        tl.store(top_ids + at[:, None] * K + slots[None, :], ids, mask=kept)


def attend(call: Call) -> VocabularyPartial:
    """The part that the whole of `head` and `table` is."""
    hidden, head, table, temperature, bias, top_k = (
        call.hidden, call.head, call.table, call.temperature, call.bias, call.top_k,
    )  # fmt: skip
    device = hidden.device
    rows, width = hidden.shape
    vocabulary, value_width = table.shape
    tied = table is head
    hidden = hidden.contiguous().to(head.dtype)
    head = head if head.stride(1) == 1 else head.contiguous()
    table = head if tied else (table if table.stride(1) == 1 else table.contiguous())
    inverse = torch.where(temperature == 0, 0.0, 1 / torch.where(temperature == 0, 1.0, temperature))
    block_b, block_v = power_of_two(rows, 16, 64), 32
    block_d = power_of_two(max(width, value_width), 16, 128)
    parts = splits(vocabulary, block_v, triton.cdiv(rows, block_b), device)
    span = triton.cdiv(triton.cdiv(vocabulary, parts), block_v) * block_v
    maxima, totals, energies = torch.empty(3, parts, rows, device=device)
    argmaxes = torch.empty(parts, rows, dtype=torch.int64, device=device)
    sums = torch.empty(parts, rows, value_width, device=device)
    values = torch.empty(parts, rows, top_k, device=device)
    ids = torch.empty(parts, rows, top_k, dtype=torch.int64, device=device)
    # The interpreter multiplies 16-bit numbers as the integers it stores them in: there, WIDEN converts first.
    halves = table.dtype != torch.float32 and device.type == "cuda"
    factor = half_of(table)[1] if halves else 1.0
    if rows:
        _attention_kernel[(parts, triton.cdiv(rows, block_b))](
            hidden, hidden.stride(0), head, head.stride(0), table, table.stride(0), inverse,
            inverse if bias is None else bias.contiguous(), maxima, totals, energies, argmaxes, sums, values, ids,
            rows, vocabulary, width, value_width, span, call.scale, call.softcap,
            HAS_BIAS=bias is not None, HAS_SOFTCAP=call.softcap > 0, K=top_k, SLOTS=power_of_two(top_k, 1, 1 << 16),
            WIDEN=device.type != "cuda", HALVES=halves, FACTOR=factor, BLOCK_B=block_b, BLOCK_V=block_v, BLOCK_D=block_d,
        )  # fmt: skip
    if factor != 1:
        sums /= factor
    # A part's slots are in no order: ascending ids first, then the stable sort by value keeps equal ones that way.
    ids, order = ids.sort(dim=2)
    values = values.gather(2, order)
    values, order = values.sort(dim=2, descending=True, stable=True)
    ids = ids.gather(2, order)
    ids = torch.where(torch.isneginf(values), -1, ids)
    stacked = VocabularyPartial(maxima, totals.double(), energies.double(), sums, argmaxes, values, ids)
    return merge_stacked(stacked, temperature)
