"""A model's attention exchanged for another, and its cache for a quantised one, under the engine's continuous batching.

An exchanged attention is registered with transformers' attention interface, so it takes its place in any model whose layers
ask for theirs by name. Every row goes through it alone, over its own keys, so a row has the same bits in company.
"""

import hashlib
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import causal_mask_function

from agents.attention.codes import rounded
from agents.attention.row_attention import RowAttention
from agents.attention.staircase import Staircase, settle
from agents.backends.transformers.attention import attend_rows, refuse_more_than_plain
from agents.backends.transformers.cache import SlotCache, SlotLayer
from agents.errors import ConfigError


class ExchangedLayer(SlotLayer):
    """Keys and values of one layer, queries where an attention needs them, quantised where there is a stair.

    A quantised slot has the numbers that its codes stand for, each in the model's type: what `StaircaseCache` stores as
    codes is here spread out.

    Args:
        cache: its owner.
        needs_queries: whether queries are kept too.
        stair: how it is quantised; None: not.
    """

    def __init__(self, cache: SlotCache, needs_queries: bool, stair: Staircase | None) -> None:
        super().__init__(cache)
        self.stair = stair
        if needs_queries:
            self.held = ("keys", "values", "queries")
        # By slot: how many of its tokens the stair has seen.
        self._settled: dict[int, int] = {}

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate for the shapes that the model turned out to have; `note` makes room for queries, which may have more heads."""
        super().lazy_initialization(key_states, value_states)
        self.queries = self.keys[:, :0]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Bring the slots of the window down the stair, then write and return as a slot layer does."""
        if self.stair is not None and self.is_initialized:
            window = self.owner.window
            if window.positions is None:
                starts = dict.fromkeys(range(window.first, window.last), window.start)
            else:
                slots = range(window.first, window.last) if window.slots is None else window.slots
                starts = dict(zip(slots, window.positions.tolist(), strict=True))
            for slot, held in starts.items():
                # A row begins where another was.
                before = self._settled.get(slot, 0) if held else 0
                settle(self.stair, self.keys[slot], self.values[slot], held=held, before=before, rounding=rounded)
                self._settled[slot] = held
        return super().update(key_states, value_states, *args, **kwargs)

    def note(self, slot: int, start: int, queries: torch.Tensor) -> torch.Tensor:
        """Keep queries [H, Q, head] of positions from `start` on, and return those of all positions so far."""
        if self.queries.shape[1] != len(queries):
            shape = (self.owner.slots, len(queries), self.owner.capacity, queries.shape[2])
            self.queries = queries.new_zeros(shape)
        end = start + queries.shape[1]
        self.queries[slot, :, start:end] = queries
        return self.queries[slot, :, :end]

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of one slot into another."""
        super().copy(source, target, length)
        self._settled[target] = self._settled.get(source, 0)


def slot_cache(num_layers: int, exchanged: RowAttention | None, stair: Staircase | None) -> SlotCache:
    """Return an empty cache for an attention and a stair; the plain one where there is neither."""
    if exchanged is None and stair is None:
        return SlotCache(num_layers)
    needs_queries = exchanged is not None and exchanged.needs_queries
    return SlotCache(num_layers, partial(ExchangedLayer, needs_queries=needs_queries, stair=stair))


def exchange(model: Any, kind: RowAttention, name: str) -> None:
    """Give a model an attention in place of its own.

    Args:
        model: of transformers, causal, whose layers ask for their attention by name.
        kind: the attention.
        name: of the model, for errors.

    Raises:
        ConfigError: its attention is its own, and cannot be exchanged, or is asked for in a layer that it has not.
    """
    numbers = (getattr(module, "layer_idx", None) for module in model.modules())
    kind.check_layers({number for number in numbers if isinstance(number, int)} or {0})
    registered = f"by_row_{hashlib.sha256(repr(kind).encode()).hexdigest()[:16]}"
    AttentionInterface.register(registered, partial(_attention, kind))
    AttentionMaskInterface.register(registered, _no_mask)
    try:
        model.set_attn_implementation(registered)
    except ValueError as error:
        raise ConfigError(f"{name} cannot be given another attention: {error}") from error
    if model.config._attn_implementation != registered:
        raise ConfigError(f"{name} cannot be given another attention: its own cannot be exchanged")


def _attention(
    kind: RowAttention,
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Return attention [B, Q, H, head] row by row; see transformers' attention functions for the arguments.

    Raises:
        NotImplementedError: rows behind padding, more than plain attention, or a cache that does not keep what is needed.
    """
    refuse_more_than_plain(kwargs)
    if attention_mask is not None:
        raise NotImplementedError("an exchanged attention reads rows without padding, and sees all positions before")
    return attend_rows(kind, module, query, key, value, scaling), None


def _no_mask(*args: Any, mask_function: Any = causal_mask_function, attention_mask: Any = None, **kwargs: Any) -> None:
    """Return None, as every row sees all that comes before.

    Raises:
        NotImplementedError: a model that sees less, or padding.
    """
    if mask_function is not causal_mask_function or kwargs.get("use_vmap"):
        raise NotImplementedError("its layers do not see all positions before, as an exchanged attention does")
    if attention_mask is not None and not attention_mask.all():
        raise NotImplementedError("an exchanged attention reads rows without padding")
