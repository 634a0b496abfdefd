"""The expected embedding on a GPU: each program walks a part of the vocabulary for a block of rows and of columns.

B rows, V tokens, D embedding width, S parts of the vocabulary.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.belief import check_maxima, first_argmax
from kernels.gpu import power_of_two, splits


@triton.jit  # type: ignore[untyped-decorator]
def _expectation_kernel(  # type: ignore[no-untyped-def]
    logits, logits_stride, maximum, inverse, argmax, table, table_stride, sums, totals, B, V, D, span,
    BLOCK_B: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    part = tl.program_id(0)
    rows = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)  # [BB]
    columns = tl.program_id(2) * BLOCK_D + tl.arange(0, BLOCK_D)  # [BD]
    real = rows < B
    m = tl.load(maximum + rows, mask=real, other=0.0)
    inv = tl.load(inverse + rows, mask=real, other=0.0)
    best = tl.load(argmax + rows, mask=real, other=-1)
    acc = tl.zeros([BLOCK_B, BLOCK_D], dtype=tl.float32)
    total = tl.zeros([BLOCK_B], dtype=tl.float32)
    for start in range(part * span, tl.minimum(V, (part + 1) * span), BLOCK_V):
        tokens = start + tl.arange(0, BLOCK_V)  # [BV]
        held = tokens < V
        z = tl.load(
            logits + rows[:, None].to(tl.int64) * logits_stride + tokens[None, :],
            mask=real[:, None] & held[None, :],
            other=float("-inf"),
        ).to(tl.float32)  # [BB, BV]
        w = tl.exp((z - m[:, None]) * inv[:, None])
        # An inverse of 0 marks temperature 0: the argmax token takes all.
        w = tl.where(inv[:, None] > 0, w, tl.where(tokens[None, :] == best[:, None], 1.0, 0.0))
        w = tl.where(held[None, :] & real[:, None], w, 0.0)
        total += tl.sum(w, axis=1)
        rows_of_table = tl.load(
            table + tokens[:, None].to(tl.int64) * table_stride + columns[None, :],
            mask=held[:, None] & (columns < D)[None, :],
            other=0.0,
        )  # [BV, BD]
        acc = tl.dot(w, rows_of_table.to(tl.float32), acc, input_precision="ieee")
    at = part * B + rows
    tl.store(sums + at[:, None].to(tl.int64) * D + columns[None, :], acc, mask=real[:, None] & (columns < D)[None, :])
    if tl.program_id(2) == 0:
        tl.store(totals + at, total, mask=real)


def expected_embedding(logits: Tensor, table: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(vectors [B, D], dropped mass [B] float64, rows read [B] int64): every row is read, nothing is dropped."""
    rows, vocabulary = logits.shape
    width = table.shape[1]
    dropped = torch.zeros(rows, dtype=torch.float64, device=logits.device)
    read = torch.full((rows,), vocabulary, device=logits.device)
    if not rows:
        return table.new_empty(0, width), dropped, read
    logits = logits if logits.stride(1) == 1 else logits.contiguous()
    table = table if table.stride(1) == 1 else table.contiguous()
    maximum = logits.amax(dim=1).float()
    check_maxima(maximum)
    argmax = first_argmax(logits.float(), maximum)
    inverse = torch.where(temperature == 0, 0.0, 1 / torch.where(temperature == 0, 1.0, temperature))
    block_b, block_v = power_of_two(rows, 16, 64), 64
    block_d = power_of_two(width, 16, 128)
    others = triton.cdiv(rows, block_b) * triton.cdiv(width, block_d)
    parts = splits(vocabulary, block_v, others, logits.device)
    span = triton.cdiv(triton.cdiv(vocabulary, parts), block_v) * block_v
    sums = torch.empty(parts, rows, width, device=logits.device)
    totals = torch.empty(parts, rows, device=logits.device)
    _expectation_kernel[(parts, triton.cdiv(rows, block_b), triton.cdiv(width, block_d))](
        logits, logits.stride(0), maximum, inverse, argmax, table, table.stride(0), sums, totals, rows, vocabulary, width,
        span, BLOCK_B=block_b, BLOCK_V=block_v, BLOCK_D=block_d,
    )  # fmt: skip
    vectors = sums.sum(dim=0) / totals.sum(dim=0)[:, None]
    return vectors.to(table.dtype), dropped, read
