"""Exact attention over a sequence that no process holds whole: each rank has a share of it, and keys and values go round.

He and Kabic (2023, arXiv:2302.06218) prototype distributed attention of this kind for sequences of a million tokens; which
way their keys and values travel was not to be read, and the ring here is that of ring attention (Liu et al., 2023,
arXiv:2310.01889). In step s rank r hears the keys and values of rank r − s, and adds them to its online softmax; after as
many steps as ranks the result is that of one process, and no rank ever had more than its own queries, two shares of keys and
values, and one block of scores. In a causal model a rank has nothing to hear of those behind it, so half of the blocks are
left out.
H heads, L positions, P ranks, D width of a head.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.attention.online import OnlineSoftmax


@dataclass(frozen=True)
class Cost:
    """What one rank, the one with most to do, needs for a head of one layer; two shares go over the wire in each step.

    Attributes:
        products: multiply-accumulates, 2 D for each score.
        sent: bytes of keys and values that it passes on.
        held: bytes of its queries, result, both shares of keys and values, and one block of scores.
        naive: bytes of the scores that one process has which writes them all out.
    """

    products: int
    sent: int
    held: int
    naive: int


def cost(length: int, ranks: int, width: int, block: int, *, causal: bool, num_bytes: int = 4) -> Cost:
    """Return what the rank with most to do needs.

    Args:
        length: L.
        ranks: P.
        width: D.
        block: keys whose scores are held at once.
        causal: whether later shares are left out.
        num_bytes: of a number.
    """
    share = -(-length // ranks)
    # The last rank hears everybody.
    scores = share * (length - share) + share * (share + 1) // 2 if causal else share * length
    passed = 2 * share * width * (ranks - 1)
    held = (2 + 4) * share * width + share * min(block, share)
    return Cost(2 * width * scores, passed * num_bytes, held * num_bytes, length * length * num_bytes)


class Rank:
    """One rank's queries, and what they have heard so far.

    Args:
        query: [H, n, D], its share.
        start: position of the first.
        scaling: of the scores.
        block: keys whose scores are held at once.
        causal: whether later positions are not heard.
    """

    def __init__(self, query: Tensor, start: int, *, scaling: float, block: int = 512, causal: bool = True) -> None:
        self.query, self.start, self.scaling, self.block, self.causal = query, start, scaling, block, causal
        wide = torch.promote_types(query.dtype, torch.float32)
        self._heard = OnlineSoftmax(query.shape, wide, query.device)
        self.scores = 0

    def hears(self, start: int) -> bool:
        """Whether anything of a share that begins there is heard."""
        return not self.causal or start <= self.start + self.query.shape[1] - 1

    def hear(self, key: Tensor, value: Tensor, start: int) -> None:
        """Take in a share of keys and values [H, n, D] that begins at a position."""
        wide = torch.promote_types(self.query.dtype, torch.float32)
        query = self.query.to(wide)
        for offset in range(0, key.shape[1], self.block):
            first = start + offset
            if not self.hears(first):
                return
            part = slice(offset, offset + self.block)
            scores = self.scaling * (query @ key[:, part].to(wide).mT)
            if self.causal:
                own = torch.arange(self.start, self.start + query.shape[1], device=query.device)
                there = torch.arange(first, first + scores.shape[2], device=query.device)
                scores = scores.masked_fill(there > own[:, None], -math.inf)
            self.scores += scores.shape[1] * scores.shape[2]
            self._heard.add(scores, value[:, part].to(wide))

    def result(self) -> Tensor:
        """Return what its queries heard, [H, n, D]."""
        return self._heard.result().to(self.query.dtype)


def shares(length: int, ranks: int) -> list[slice]:
    """Return where each rank's share stands; the last may be shorter, and none is empty.

    Raises:
        ValueError: more ranks than shares of equal length that are not empty.
    """
    size = -(-length // ranks)
    found = [slice(start, min(start + size, length)) for start in range(0, length, size)]
    if len(found) != ranks:
        raise ValueError(f"{length} positions make {len(found)} shares of {size}, and not {ranks}; take fewer ranks")
    return found


def visits(rank: int, ranks: int) -> Iterator[int]:
    """Yield whose keys and values a rank hears, step by step: its own first, then those that come round."""
    for step in range(ranks):
        yield (rank - step) % ranks


def ring(
    query: Tensor, key: Tensor, value: Tensor, ranks: int, *, scaling: float, block: int = 512, causal: bool = True
) -> Tensor:
    """Return attention [H, L, D] by ranks in this process, one after the other; what actors do side by side."""
    spans = shares(query.shape[1], ranks)
    found = []
    for number, span in enumerate(spans):
        rank = Rank(query[:, span], span.start, scaling=scaling, block=block, causal=causal)
        for other in visits(number, ranks):
            there = spans[other]
            if rank.hears(there.start):
                rank.hear(key[:, there], value[:, there], there.start)
        found.append(rank.result())
    return torch.cat(found, 1)
