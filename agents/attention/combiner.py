"""Combiner-Fixed, causal and bidirectional (Ren et al., NeurIPS 2021, arXiv:2107.05768): full attention at a sparse cost.

Attention is an expectation of values, E_{p(j|i)} v_j, and p factorises. Tokens stand in segments of m. A query sees the
tokens of its own segment directly, and each other segment r (earlier ones, where it is causal) as one summary key k_r, the
mean of its keys, under one joint softmax; what it hears of r is v_r, attention inside r by r's own query, the mean of its
queries, which does not depend on i. So every token in view has a weight over 0, and a text of L tokens has about L (m / 2 + L
/ (2m)) scores where full attention has L² / 2: least at m = √L.

The published pools are max, mean and sum, some after a learned map; ours is the mean alone, since our models are not trained
for it. One segment is full attention, and so are segments of one token, which are their own summaries.
H heads, L positions, S whole segments, m tokens of a segment, D width of a head.
"""

import math
from dataclasses import dataclass

import torch

from agents.attention.row_attention import RowAttention
from agents.errors import ConfigError


@dataclass(frozen=True)
class Combiner(RowAttention):
    """Causal attention over the own segment and the summaries of earlier ones.

    Attributes:
        segment: m, tokens of a segment.
        summaries: whether earlier segments are seen at all; without them it is local attention, what the paper is to beat.
    """

    segment: int
    summaries: bool = True

    needs_queries = True

    def __post_init__(self) -> None:
        if self.segment < 1:
            raise ConfigError(f"combiner: a segment has at least one token; got {self.segment}")

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scaling: float,
        layer: int,
        queries: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See RowAttention."""
        assert queries is not None
        count, length = query.shape[1], key.shape[1]
        # One that is longer than the text is the text, and is not filled up.
        size = min(self.segment, length)
        first, wide = length - count, torch.promote_types(query.dtype, torch.float32)
        q, k, v = query.to(wide), key.to(wide), value.to(wide)
        # Segments that end before the last query's own begins: nothing of a segment is seen before it is whole.
        whole = (length - 1) // size if self.summaries else 0
        summary, heard = summaries(queries[:, : whole * size].to(wide), k, v, size, scaling)
        begin = first // size * size
        seen = torch.ones(size, size, dtype=torch.bool, device=q.device).tril()
        parts = torch.arange(begin // size, -(-length // size), device=q.device)
        earlier = torch.arange(whole, device=q.device) < parts[:, None]
        found = _mixed(
            _segments(q, first - begin, size), _segments(k[:, begin:], 0, size), _segments(v[:, begin:], 0, size),
            summary, heard, seen, earlier, scaling,
        )  # fmt: skip
        return found.flatten(1, 2)[:, first - begin : length - begin].to(value.dtype)

    def scores(self, length: int) -> int:
        """See RowAttention; those inside the segments that have a summary included."""
        direct = sum(place % self.segment + 1 for place in range(length))
        if not self.summaries:
            return direct
        indirect = sum(place // self.segment for place in range(length))
        return direct + indirect + (length - 1) // self.segment * self.segment


def summaries(
    queries: torch.Tensor, key: torch.Tensor, value: torch.Tensor, size: int, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each whole segment's summary key and what is heard of it, both [H, S, D].

    Args:
        queries: [H, S m, D].
        key, value: [H, L, D], L at least S m.
        size: m.
        scaling: of the scores.
    """
    heads, length, width = queries.shape
    parts = (heads, length // size, size)
    q, k = queries.reshape(*parts, width), key[:, :length].reshape(*parts, width)
    inside = (scaling * (q.mean(2, keepdim=True) @ k.mT)).softmax(-1)
    return k.mean(2), (inside @ value[:, :length].reshape(*parts, value.shape[2])).squeeze(2)


def bidirectional(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, segment: int, scaling: float
) -> torch.Tensor:
    """Return Combiner's attention of an encoder, [H, L, D]: the own segment directly, every other one by its summary.

    Args:
        query, key, value: [H, L, D]; without padding, which would go into the means. The last segment may be shorter.
        segment: m.
        scaling: of the scores.
    """
    length, wide = key.shape[1], torch.promote_types(query.dtype, torch.float32)
    segment = min(segment, length)
    q, k, v = query.to(wide), key.to(wide), value.to(wide)
    whole = length // segment * segment
    summary, heard = summaries(q[:, :whole], k, v, segment, scaling)
    if whole < length:
        rest = slice(whole, length)
        last = summaries(q[:, rest], k[:, rest], v[:, rest], length - whole, scaling)
        summary, heard = torch.cat([summary, last[0]], 1), torch.cat([heard, last[1]], 1)
    parts = _segments(q, 0, segment)
    count = parts.shape[1]
    others = ~torch.eye(count, dtype=torch.bool, device=q.device)
    is_token = torch.arange(count * segment, device=q.device).reshape(count, 1, segment) < length
    found = _mixed(parts, _segments(k, 0, segment), _segments(v, 0, segment), summary, heard, is_token, others, scaling)
    return found.flatten(1, 2)[:, :length].to(value.dtype)


def _segments(states: torch.Tensor, front: int, size: int) -> torch.Tensor:
    """Return [H, L, D] in segments, [H, S, m, D], with `front` zeros before and as many after as fill the last one."""
    length = states.shape[1] + front
    padded = torch.nn.functional.pad(states, (0, 0, front, -length % size))
    return torch.unflatten(padded, 1, (-1, size))


def _mixed(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    summary: torch.Tensor,
    heard: torch.Tensor,
    direct: torch.Tensor,
    indirect: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    """Return attention [H, S, m, D] by one softmax over the tokens of the own segment and the summaries of others.

    Args:
        query, key, value: [H, S, m, D].
        summary, heard: [H, R, D].
        direct: which tokens are seen, broadcast to [S, m, m].
        indirect: [S, R], which summaries are.
        scaling: of the scores.
    """
    own = (scaling * (query @ key.mT)).masked_fill(~direct, -math.inf)
    other = (scaling * (query @ summary[:, None].mT)).masked_fill(~indirect[:, None], -math.inf)
    weights = torch.cat([own, other], -1).softmax(-1)
    size = key.shape[2]
    return weights[..., :size] @ value + weights[..., size:] @ heard[:, None]


def combiner(*, segment: int = 16, summaries: bool = True) -> Combiner:
    """See the own segment directly and earlier ones by a summary; a segment as long as the text is the model."""
    return Combiner(segment, summaries)
