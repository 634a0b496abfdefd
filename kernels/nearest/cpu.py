"""The nearest token on the CPU: a cheap look at every row bounds its cosine, float64 decides among those left.

`native` looks at an 8-bit copy of the table (a quarter of float32's bytes), `blocked` at the table itself through torch's
matrix library, one block at a time. Both end in the reference's float64 cosines of the few rows that the bounds cannot rule
out, so both give its ids. N vectors, V tokens, D embedding width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels import native
from kernels.native import pointer

_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class PackedTable:
    """The table's unit rows without their share of the mean's direction, in 8 bits, in the layout csrc/nearest.cpp reads.

    With each row's share, the step of its levels, how far they are off, and its norm in float64.
    """

    mean: Tensor
    packed: Tensor
    shares: Tensor
    scales: Tensor
    errors: Tensor
    norms: Tensor

    @property
    def parts(self) -> tuple[Tensor, ...]:
        return self.mean, self.packed, self.shares, self.scales, self.errors, self.norms


def pack(table: Tensor) -> PackedTable:
    vocabulary, width = table.shape
    table = table.detach().contiguous()
    padded = (vocabulary + 15) // 16 * 16
    packed = torch.empty(native.library().nearest_packed_bytes(vocabulary, width), dtype=torch.uint8)
    shares, scales, errors = torch.zeros(3, padded)
    made = PackedTable(torch.empty(width), packed, shares, scales, errors, torch.empty(vocabulary, dtype=torch.float64))
    native.library().nearest_pack(
        pointer(table), table.dtype == torch.bfloat16, vocabulary, width, *map(pointer, made.parts), native.threads()
    )
    return made


def search(vectors: Tensor, table: Tensor, packed: PackedTable) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, cosine, second) [N] for vectors [N, D], through the 8-bit copy."""
    vectors, table = vectors.float().contiguous(), table.contiguous()
    count = len(vectors)
    # Separate buffers: outputs of an operator must not share memory.
    ids, best, second = torch.empty(count, dtype=torch.int64), *(torch.empty(count, dtype=torch.float64) for _ in "12")
    native.library().nearest_search(
        pointer(vectors), count, pointer(table), table.dtype == torch.bfloat16, *table.shape,
        *map(pointer, (*packed.parts, ids, best, second)), native.threads(),
    )  # fmt: skip
    return ids, best, second


def prove(
    vectors: Tensor, table: Tensor, packed: PackedTable, candidates: Tensor, neighbours: Tensor
) -> tuple[Tensor, Tensor, Tensor, int] | None:
    """(ids, cosine, margin) [N] and how many were searched for, or None where a vector is not finite.

    What `dispatch.prove` does, in one call; neighbours [V] are filled in as they are needed.
    """
    vectors, candidates, table = vectors.float().contiguous(), candidates.contiguous(), table.contiguous()
    ids = torch.empty(len(vectors), dtype=torch.int64)
    best, margin = torch.empty(2, len(vectors), dtype=torch.float64)
    searched = native.library().nearest_prove(
        pointer(vectors), len(vectors), pointer(candidates), candidates.shape[1], pointer(neighbours), pointer(table),
        table.dtype == torch.bfloat16, *table.shape, *map(pointer, (*packed.parts, ids, best, margin)), native.threads(),
    )  # fmt: skip
    return None if searched < 0 else (ids, best, margin, searched)


def blocked_search(vectors: Tensor, table: Tensor, inverse_norms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, cosine, second) [N] for vectors [N, D], block by block in float32."""
    lengths = vectors.double().norm(dim=1)
    unit = (vectors.double() / lengths.clamp_min(1e-300)[:, None]).float()
    vocabulary, width = table.shape
    # What summing D products in float32, in any order, may be off by for unit vectors, with the factors' rounding.
    slack = (width + 8) * 2.0**-23
    leaders = torch.full((len(unit), 2), -2.0, device=table.device)
    rows: list[Tensor] = []
    tokens: list[Tensor] = []
    scores: list[Tensor] = []
    for start in range(0, vocabulary, _BLOCK):
        block = (unit @ table[start : start + _BLOCK].float().T) * inverse_norms[start : start + _BLOCK]
        leaders = torch.cat([leaders, block.topk(min(2, block.shape[1]), dim=1).values], dim=1).topk(2, dim=1).values
        row, token = (block >= leaders[:, 1:] - 2 * slack).nonzero(as_tuple=True)
        rows.append(row)
        tokens.append(token + start)
        scores.append(block[row, token])
    row, token, score = torch.cat(rows), torch.cat(tokens), torch.cat(scores)
    alive = score >= leaders[row, 1] - 2 * slack
    return decide(vectors, table, row[alive], token[alive])


def decide(vectors: Tensor, table: Tensor, row: Tensor, token: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The two best of the listed (row, token) pairs by float64 cosine."""
    count = len(vectors)
    ids = torch.zeros(count, dtype=torch.int64, device=table.device)
    best = torch.full((count,), -2.0, dtype=torch.float64, device=table.device)
    second = best.clone()
    order = torch.argsort(row * table.shape[0] + token)
    row, token = row[order], token[order]
    cosines = pair_cosines(vectors, table, row, token)
    for n, size in enumerate(torch.bincount(row, minlength=count).tolist()):
        mine, cosines = cosines[:size], cosines[size:]
        choices, token = token[:size], token[size:]
        best[n] = mine.max()
        # Tokens ascend, so the first that attains the maximum is the lowest.
        winner = int((mine == best[n]).to(torch.uint8).argmax())
        ids[n] = choices[winner]
        if size > 1:
            second[n] = torch.cat([mine[:winner], mine[winner + 1 :]]).max()
    return ids, best, second


def pair_cosines(vectors: Tensor, table: Tensor, row: Tensor, token: Tensor) -> Tensor:
    """The float64 cosine of vectors[row] with table[token], pair by pair, as the reference computes it."""
    cosines = torch.empty(len(row), dtype=torch.float64, device=table.device)
    lengths = vectors.double().norm(dim=1)
    for start in range(0, len(row), _BLOCK):
        here = slice(start, start + _BLOCK)
        embedded = table[token[here]].double()
        scale = lengths[row[here]] * embedded.norm(dim=1)
        dots = (embedded * vectors[row[here]].double()).sum(dim=1)
        cosines[here] = torch.where(scale > 0, dots / scale.clamp_min(1e-300), 0.0)
    return cosines
