"""The nearest token on a GPU: the largest cosine of every block of tokens in float32, the few best blocks in float64.

The second largest block maximum bounds the second-best cosine from below, so a block whose maximum lies under it by more
than the arithmetic can err holds neither of the two best. N vectors, V tokens, D embedding width.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.gpu import power_of_two
from kernels.nearest.cpu import decide

_BLOCK = 64


@triton.jit  # type: ignore[untyped-decorator]
def _block_maxima_kernel(  # type: ignore[no-untyped-def]
    unit, table, table_stride, inverse_norms, maxima, N, V, D, blocks,
    BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0)
    rows = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    tokens = block * BLOCK_V + tl.arange(0, BLOCK_V)
    scores = tl.zeros([BLOCK_N, BLOCK_V], dtype=tl.float32)
    for d in range(0, D, BLOCK_D):
        columns = d + tl.arange(0, BLOCK_D)
        x = tl.load(
            unit + rows[:, None].to(tl.int64) * D + columns[None, :],
            mask=(rows < N)[:, None] & (columns < D)[None, :],
            other=0.0,
        )
        e = tl.load(
            table + tokens[:, None].to(tl.int64) * table_stride + columns[None, :],
            mask=(tokens < V)[:, None] & (columns < D)[None, :],
            other=0.0,
        ).to(tl.float32)
        scores = tl.dot(x, tl.trans(e), scores, input_precision="ieee")
    scores *= tl.load(inverse_norms + tokens, mask=tokens < V, other=0.0)[None, :]
    scores = tl.where((tokens < V)[None, :], scores, -2.0)
    tl.store(maxima + rows.to(tl.int64) * blocks + block, tl.max(scores, axis=1), mask=rows < N)


def nearest_token(vectors: Tensor, table: Tensor, inverse_norms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, cosine, second) [N] for vectors [N, D]; the cosines in float64."""
    count, width = vectors.shape
    vocabulary = table.shape[0]
    table = table if table.stride(1) == 1 else table.contiguous()
    lengths = vectors.double().norm(dim=1)
    unit = (vectors.double() / lengths.clamp_min(1e-300)[:, None]).float().contiguous()
    blocks = triton.cdiv(vocabulary, _BLOCK)
    maxima = torch.empty(count, blocks, device=table.device)
    block_n = power_of_two(count, 16, 64)
    _block_maxima_kernel[(blocks, triton.cdiv(count, block_n))](
        unit, table, table.stride(0), inverse_norms.contiguous(), maxima, count, vocabulary, width, blocks,
        BLOCK_N=block_n, BLOCK_V=_BLOCK, BLOCK_D=power_of_two(width, 16, 64),
    )  # fmt: skip
    slack = (width + 8) * 2.0**-23
    floor = maxima.topk(2, dim=1).values[:, 1:] - 2 * slack if blocks > 1 else maxima - 2 * slack
    row, block = (maxima >= floor).nonzero(as_tuple=True)
    token = (block[:, None] * _BLOCK + torch.arange(_BLOCK, device=table.device)).flatten()
    row = row.repeat_interleave(_BLOCK)
    inside = token < vocabulary
    return decide(vectors, table, row[inside], token[inside])
