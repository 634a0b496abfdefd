"""The interface of an attention that takes the place of a causal model's own: one row at a time, over its own keys.

H heads, Q new positions, L positions in all, D width of a head.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

import torch

# What is noted of a row's first positions: how many, and what holds of them; the fewest first.
Notes = list[tuple[int, Any]]


class RowAttention(ABC):
    """Attention of one row of a causal model; frozen, so that two that are equal are the same.

    Attributes:
        needs_queries: whether earlier positions' queries are needed, which a cache has to keep then, beside keys and values.
    """

    needs_queries = False

    @abstractmethod
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
        """Return what the new positions hear, [H, Q, D].

        Args:
            query: [H, Q, D], of positions L − Q … L − 1.
            key, value: [H, L, D].
            scaling: of the scores.
            layer: number of the layer.
            queries: [H, L, D] of all positions, where they are needed.
        """

    def check_layers(self, layers: Collection[int]) -> None:  # noqa: B027
        """Raise ConfigError where it is said of a layer that a model with these numbers of layers has not."""

    def scores(self, length: int) -> int:
        """Return how many scores a head of the first layer needs for a text of so many tokens: full attention's, if not said."""
        return full_scores(length)


class NotingAttention(RowAttention):
    """One that notes something of a row's beginning, which a cache keeps for it as long as those positions stand."""

    @abstractmethod
    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scaling: float,
        layer: int,
        queries: torch.Tensor | None = None,
        notes: Notes | None = None,
    ) -> torch.Tensor:
        """Return what the new positions hear, [H, Q, D]; see `RowAttention.attend`.

        Args:
            query, key, value, scaling, layer, queries: as there.
            notes: what was noted of this row before, to be read and added to; None where no cache keeps any.
        """


def full_scores(length: int) -> int:
    """Return how many scores causal attention computes."""
    return length * (length + 1) // 2


def refuse_padding(mask: torch.Tensor | None, what: str) -> None:
    """Raise NotImplementedError where a mask [..., Q, L], bool or added to scores, hides a position from the last query."""
    if mask is not None and not (mask[..., -1, :] if mask.dtype == torch.bool else mask[..., -1, :] == 0).all():
        raise NotImplementedError(
            f"{what} reads every position that it is given: rows behind padding are read one by one"
        )


def visible(num_queries: int, length: int, device: Any = None) -> torch.Tensor:
    """Return the causal mask [Q, L] of the last positions: True where a query sees a key."""
    places = torch.arange(length - num_queries, length, device=device)
    return torch.arange(length, device=device) <= places[:, None]


def visible_scores(query: torch.Tensor, key: torch.Tensor, scaling: float) -> torch.Tensor:
    """Return the scores [H, Q, L], in float32, of the last positions [H, Q, D] with all keys [H, L, D]: −∞ for those unseen."""
    scores = scaling * (query.float() @ key.float().mT)
    return scores.masked_fill(~visible(query.shape[1], key.shape[1], query.device), -math.inf)


def seen_by(mask: torch.Tensor | None, num_queries: int, length: int, device: Any = None) -> torch.Tensor:
    """Return which keys are seen, broadcast to [B, H, Q, L], of a mask that is bool or added to scores; None: all before."""
    if mask is None:
        return visible(num_queries, length, device)
    mask = mask[..., :length]
    return mask if mask.dtype == torch.bool else mask == 0
