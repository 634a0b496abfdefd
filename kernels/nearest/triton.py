"""The nearest token on a GPU: the largest cosine of every block of tokens in float32, the few best blocks in float64.

The second largest block maximum bounds the second-best cosine from below, so a block whose maximum lies under it by more
than the arithmetic can err holds neither of the two best. The other blocks are looked at once more, exactly: the program of a
block that need not be returns at once, so nobody waits to hear which those are.

A unit vector meets a 16-bit table as the sum of three numbers of the table's type, which together have all bits of its float32:
matrix instructions multiply them with the rows as they lie. N vectors, V tokens, D embedding width.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels import tuning
from kernels.gpu import power_of_two
from kernels.tuning import Launch

_BLOCK = 64
# float16 has coarse steps near 0, where the last of the three pieces lies: unit vectors are multiplied by this before.
_F16_SCALE = 2.0**12


@triton.jit  # type: ignore[untyped-decorator]
def _block_maxima_kernel(  # type: ignore[no-untyped-def]
    pieces, needed, table, table_stride, column_stride, inverse_norms, maxima, N, V, D, blocks,
    PIECES: tl.constexpr, WIDEN: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0)
    rows = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    if tl.max(tl.load(needed + rows, mask=rows < N, other=0).to(tl.int32), axis=0) == 0:
        return
    tokens = block * BLOCK_V + tl.arange(0, BLOCK_V)
    scores = tl.zeros([BLOCK_N, BLOCK_V], dtype=tl.float32)
    for d in range(0, D, BLOCK_D):
        columns = d + tl.arange(0, BLOCK_D)
        e = tl.load(
            table + tokens[:, None].to(tl.int64) * table_stride + columns[None, :].to(tl.int64) * column_stride,
            mask=(tokens < V)[:, None] & (columns < D)[None, :],
            other=0.0,
        )
        if WIDEN:
            e = e.to(tl.float32)
        for piece in tl.static_range(PIECES):
            x = tl.load(
                pieces + (piece * N + rows)[:, None].to(tl.int64) * D + columns[None, :],
                mask=(rows < N)[:, None] & (columns < D)[None, :],
                other=0.0,
            )
            if WIDEN:
                x = x.to(tl.float32)
            scores = tl.dot(x, tl.trans(e), scores, input_precision="ieee")
    scores *= tl.load(inverse_norms + tokens, mask=tokens < V, other=0.0)[None, :]
    scores = tl.where((tokens < V)[None, :], scores, -2.0)
    tl.store(maxima + rows.to(tl.int64) * blocks + block, tl.max(scores, axis=1), mask=rows < N)


@triton.jit  # type: ignore[untyped-decorator]
def _decide_kernel(  # type: ignore[no-untyped-def]
    vectors, needed, table, table_stride, column_stride, lengths, maxima, floors, best, second, ids, V, D, blocks,
    BLOCK_V: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """The two largest float64 cosines of a vector with a block of tokens, where the block may hold one of its two best."""
    block = tl.program_id(0)
    row = tl.program_id(1)
    at = row.to(tl.int64) * blocks + block
    if tl.load(needed + row) == 0:
        return
    if tl.load(maxima + at) < tl.load(floors + row):
        return
    tokens = block * BLOCK_V + tl.arange(0, BLOCK_V)
    dots = tl.zeros([BLOCK_V], dtype=tl.float64)
    squares = tl.zeros([BLOCK_V], dtype=tl.float64)
    for d in range(0, D, BLOCK_D):
        columns = d + tl.arange(0, BLOCK_D)
        e = tl.load(
            table + tokens[:, None].to(tl.int64) * table_stride + columns[None, :].to(tl.int64) * column_stride,
            mask=(tokens < V)[:, None] & (columns < D)[None, :],
            other=0.0,
        ).to(tl.float64)
        x = tl.load(vectors + row.to(tl.int64) * D + columns, mask=columns < D, other=0.0)
        dots += tl.sum(e * x[None, :], axis=1)
        squares += tl.sum(e * e, axis=1)
    scale = tl.load(lengths + row) * tl.sqrt(squares)
    cosines = tl.where(scale > 0, dots / tl.where(scale > 0, scale, 1.0), 0.0)
    cosines = tl.where(tokens < V, cosines, -2.0)
    top = tl.max(cosines, axis=0)
    winner = tl.min(tl.where((cosines == top) & (tokens < V), tokens, V), axis=0)
    tl.store(best + at, top)
    tl.store(ids + at, winner.to(tl.int64))
    tl.store(second + at, tl.max(tl.where(tokens == winner, -2.0, cosines), axis=0))


def nearest_token(
    vectors: Tensor, table: Tensor, inverse_norms: Tensor, needed: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, cosine, second) [N] for vectors [N, D]; the cosines in float64.

    Rows that are not `needed` [N] bool come back without a meaning. Where none of a block of rows is, the table is not read.
    """
    count, width = vectors.shape
    vocabulary = table.shape[0]
    device = table.device
    wide = vectors.double().contiguous()
    lengths = wide.norm(dim=1)
    pieces, factor = _pieces((wide / lengths.clamp_min(1e-300)[:, None]).float(), table.dtype)
    blocks = triton.cdiv(vocabulary, _BLOCK)
    wanted = torch.ones(count, dtype=torch.int8, device=device) if needed is None else needed.to(torch.int8)
    scale = (inverse_norms / factor).contiguous()
    maxima = _maxima(pieces, wanted, table, scale, search_blocks(count, table))
    # What summing the products of all pieces in float32, in any order, may be off by for unit vectors, with their rounding.
    slack = (len(pieces) * width + 8) * 2.0**-23
    leaders = maxima.topk(2, dim=1).values[:, 1] if blocks > 1 else maxima[:, 0]
    best, second = torch.full((2, count, blocks), -2.0, dtype=torch.float64, device=device)
    ids = torch.zeros(count, blocks, dtype=torch.int64, device=device)
    _decide_kernel[(blocks, count)](
        wide, wanted, table, *table.stride(), lengths, maxima, leaders - 2 * slack, best, second, ids, vocabulary, width, blocks,
        BLOCK_V=_BLOCK, BLOCK_D=power_of_two(width, 16, 32),
    )  # fmt: skip
    top = best.amax(dim=1)
    # Blocks come in the order of their ids, so the first that attains the maximum has the lowest.
    first = (best == top[:, None]).to(torch.uint8).argmax(dim=1, keepdim=True)
    others = torch.cat([best.scatter(1, first, -2.0), second.gather(1, first)], dim=1)
    return ids.gather(1, first)[:, 0], top, others.amax(dim=1)


def _maxima(pieces: Tensor, wanted: Tensor, table: Tensor, scale: Tensor, launch: Launch) -> Tensor:
    """The largest cosine of each vector with every block of tokens, [N, blocks]; without a meaning where it is not wanted."""
    _, count, width = pieces.shape
    vocabulary = len(table)
    blocks = triton.cdiv(vocabulary, _BLOCK)
    maxima = torch.empty(count, blocks, device=table.device)
    # The interpreter multiplies 16-bit numbers as the integers it stores them in: there, WIDEN converts first.
    _block_maxima_kernel[(blocks, triton.cdiv(count, launch["BLOCK_N"]))](
        pieces, wanted, table, *table.stride(), scale, maxima, count, vocabulary, width, blocks,
        PIECES=len(pieces), WIDEN=table.device.type != "cuda", BLOCK_V=_BLOCK, **launch,
    )  # fmt: skip
    return maxima


def search_blocks(count: int, table: Tensor) -> Launch:
    """How a search for the tokens nearest to some vectors is launched."""
    return tuning.chosen("search", _key(count, table), search_candidates(count, table), table.device)


def search_candidates(count: int, table: Tensor) -> list[Launch]:
    """Into how wide pieces a search cuts the rows that it meets, how many loads of them are under way, and by how many warps."""
    found = [
        {
            "BLOCK_N": power_of_two(count, 16, 64),
            "BLOCK_D": power_of_two(table.shape[1], 16, columns),
            "num_stages": stages,
            "num_warps": warps,
        }
        for columns, stages, warps in [(64, 3, 4), (128, 3, 4), (64, 4, 4), (64, 3, 8), (128, 2, 8)]
    ]
    return [launch for place, launch in enumerate(found) if launch not in found[:place]]


def tune(table: Tensor, inverse_norms: Tensor, count: int, clock: tuning.Clock) -> Launch:
    """Time the search's candidates for some vectors at once, unless that was done before on such a device; return the fastest."""
    pieces, factor = _pieces(torch.zeros(count, table.shape[1], device=table.device), table.dtype)
    wanted = torch.ones(count, dtype=torch.int8, device=table.device)
    scale = (inverse_norms / factor).contiguous()
    return tuning.tune(
        "search",
        _key(count, table),
        search_candidates(count, table),
        table.device,
        lambda launch: _maxima(pieces, wanted, table, scale, launch),
        clock,
    )


def _key(count: int, table: Tensor) -> str:
    return f"{str(table.dtype).removeprefix('torch.')} [{len(table)}, {table.shape[1]}] x {power_of_two(count, 16, 64)}"


def _pieces(unit: Tensor, dtype: torch.dtype) -> tuple[Tensor, float]:
    """Unit vectors [N, D] float32 as the sum of P numbers of a type, [P, N, D], and what they are multiplied by in it."""
    if dtype == torch.float32:
        return unit[None].contiguous(), 1.0
    factor = _F16_SCALE if dtype == torch.float16 else 1.0
    rest, pieces = unit * factor, []
    for _ in range(3 if dtype == torch.bfloat16 else 2):
        pieces.append(rest.to(dtype))
        rest = rest - pieces[-1]
    return torch.stack(pieces), factor


def neighbour_cosines(weight: Tensor, inverse_norms: Tensor, block: int = 1024) -> Tensor:
    """The cosine of each row of a table [V, D] with the row closest to it, [V] float64.

    1 where another row is as close as the row itself, and for a row of zeros: such a token is never proven.

    Args:
        weight: [V, D].
        inverse_norms: [V] float32, 0 for a row of zeros.
        block: rows that are searched at once.
    """
    found = torch.empty(len(weight), dtype=torch.float64, device=weight.device)
    for start in range(0, len(weight), block):
        rows = weight[start : start + block]
        ids, best, second = nearest_token(rows, weight, inverse_norms)
        own = torch.arange(start, start + len(rows), device=weight.device)
        found[start : start + block] = torch.where((ids == own) & (best > 0), second, 1.0)
    return found
