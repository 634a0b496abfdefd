"""Attention for decoding rows of different lengths: each row over its own keys, the cache never copied.

transformers' own `sdpa` repeats the keys and values of grouped-query models whenever there is a mask, i.e. it copies the
whole cache every step, and a masked batch adds every row up over the longest row's length, so that its last bits depend on
its neighbours. One query position needs no mask over its own keys, and the query heads that share a key head can be the
query rows of one call.

Where each row stands does not go through the model's arguments, which some attention classes drop, but beside them: the
model asks for its masks by the rules that its own code composes (causal, windows, chunks), and these are answered for the
rows' positions.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import causal_mask_function, sdpa_mask

from agents.attention.packing import packed_attention, under_way
from agents.attention.row_attention import NotingAttention, RowAttention

NAME = "sdpa_by_row"


@dataclass
class Decoding:
    """Rows that decode one position each.

    Attributes:
        positions: [B] int64, where each row's input goes; rows from `len(lengths)` on are padding.
        lengths: of the rows, the new position included.
        slots: where each row's keys are; None where row i has slot i.
        by_row: each row attends in a call of its own; if not, all in one masked call.
        starts: of each mask made, by its address: the first key that each row sees, None where it does not see all from there
            on; and the mask, so that its address stays its own.
    """

    positions: torch.Tensor
    lengths: Sequence[int]
    slots: Sequence[int] | None
    by_row: bool
    starts: dict[int, tuple[list[int | None], torch.Tensor]] = field(default_factory=dict)


class _Now(threading.local):
    decoding: Decoding | None = None
    cache: Any = None


_now = _Now()


@contextmanager
def decoding(rows: Decoding) -> Iterator[None]:
    """Within it, forward passes of this thread are of these rows."""
    _now.decoding = rows
    try:
        yield
    finally:
        _now.decoding = None


@contextmanager
def reading(cache: Any) -> Iterator[None]:
    """Within it, forward passes of this thread read and write this cache of slots."""
    _now.cache = cache
    try:
        yield
    finally:
        _now.cache = None


def now() -> tuple[Decoding | None, Any]:
    """Return the rows that decode in this thread, and the cache of slots; None of what there is not."""
    return _now.decoding, _now.cache


def attention_by_row(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Return attention [B, Q, H, head].

    Args:
        module: the attention layer.
        query: [B, H, Q, head].
        key, value: [n, H_kv, L, head], H a multiple of H_kv, n <= B.
        attention_mask: made by `mask_by_row`, or scores [B or 1, H or 1, Q, L] to add; None where every row sees all its keys.
        scaling: of the scores.
        sliding_window: the mask says it too, and is what counts.
        kwargs: what else the layer gives.

    Raises:
        NotImplementedError: the layer gives a number that plain attention knows nothing of (a cap on scores, sinks).
    """
    refuse_more_than_plain(kwargs)
    rows, row_of_several = _now.decoding, under_way()
    if isinstance(module, RowAttention):
        # The rule that its masks have was checked when they were made, and a prompt is one row without padding.
        return attend_rows(module, module, query, key, value, scaling), None
    if row_of_several is not None:
        return packed_attention(row_of_several, query, key, value, scaling), None
    if rows is None or not rows.by_row:
        outcome: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, sliding_window=sliding_window, **kwargs
        )
        return outcome
    batch, heads, _, width = query.shape
    key_heads = key.shape[1]
    out = query.new_zeros(batch, 1, heads, value.shape[3])
    made = None if attention_mask is None else rows.starts.get(attention_mask.data_ptr())
    for row, length in enumerate(rows.lengths):
        slot = row if rows.slots is None else rows.slots[row]
        start: int | None = 0
        if attention_mask is not None:
            start = None if made is None else made[0][row]
        mask = None
        if start is None:
            assert attention_mask is not None
            of_row = attention_mask[row if len(attention_mask) > 1 else 0, :, 0, :length]
            mask = of_row.expand(heads, length).reshape(1, key_heads, heads // key_heads, length)
        reach = slice(start or 0, length)
        grouped = query[row].reshape(1, key_heads, heads // key_heads, width)
        heard = scaled_dot_product_attention(
            grouped, key[slot : slot + 1, :, reach], value[slot : slot + 1, :, reach], attn_mask=mask, scale=scaling
        )
        out[row, 0] = heard.reshape(heads, -1)
    return out, None


def attend_rows(
    kind: RowAttention,
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
) -> torch.Tensor:
    """Return what a row attention hears [B, Q, H, head], row by row; rows that are padding hear nothing.

    Args:
        kind: the attention.
        module: the layer whose place it takes, or itself.
        query: [B, H, Q, head].
        key, value: [n, H_kv, L, head], as the cache returned them.
        scaling: of the scores.

    Raises:
        NotImplementedError: prompts packed into one row, or a cache that does not keep the queries that are needed.
    """
    rows, cache = now()
    if under_way() is not None:
        raise NotImplementedError("its layers read each row by themselves, so that prompts are not packed")
    layer, repeats = int(module.layer_idx), query.shape[1] // key.shape[1]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out: torch.Tensor | None = None
    for row in range(len(query) if rows is None else len(rows.lengths)):
        slot = place = row
        length = key.shape[2]
        if rows is not None:
            slot = place = row if rows.slots is None else rows.slots[row]
            length = rows.lengths[row]
            if cache is not None and cache.window.slots is not None:
                # Of keys that were gathered a row's place is not its slot.
                slot = cache.window.slots[row]
        elif cache is not None:
            slot = cache.window.first + row
        start, queries = length - query.shape[2], None
        if kind.needs_queries:
            if cache is not None:
                queries = cache.layers[layer].note(slot, start, query[row])
            elif start:
                raise NotImplementedError(
                    f"{type(kind).__name__} needs the queries of earlier tokens; read without a cache"
                )
            else:
                queries = query[row]
        own = (states[place, :, :length].repeat_interleave(repeats, 0) for states in (key, value))
        if isinstance(kind, NotingAttention):
            notes = None if cache is None else cache.layers[layer].notes_of(slot)
            heard = kind.attend(query[row], *own, scaling=scale, layer=layer, queries=queries, notes=notes)
        else:
            heard = kind.attend(query[row], *own, scaling=scale, layer=layer, queries=queries)
        heard = heard.transpose(0, 1)
        if out is None:
            out = heard.new_zeros(len(query), *heard.shape)
        out[row] = heard
    assert out is not None, "no row"
    return out


def reads_rows(model: torch.nn.Module) -> bool:
    """Whether a model's layers read each row by themselves, so that what they keep is no keys and values of attention."""
    return any(isinstance(module, RowAttention) for module in model.modules())


def refuse_more_than_plain(kwargs: dict[str, Any]) -> None:
    """Raise NotImplementedError where a layer gives a number that plain attention knows nothing of."""
    for name, value in kwargs.items():
        is_number = isinstance(value, float) or (isinstance(value, torch.Tensor) and value.is_floating_point())
        if is_number and name != "dropout":
            raise NotImplementedError(f"its attention takes {name}, which plain attention does not know")


def mask_by_row(
    batch_size: int,
    q_length: int,
    kv_length: int,
    mask_function: Callable[..., torch.Tensor] = causal_mask_function,
    use_vmap: bool = False,
    device: torch.device | str = "cpu",
    **kwargs: Any,
) -> torch.Tensor | None:
    """Return the mask [B, 1, Q, L] that a model asks for by its own rule; of decoding rows, for the position of each.

    None means that every row sees all its keys. See transformers' `masking_utils` for the arguments.

    Raises:
        NotImplementedError: a rule that cannot be asked for single positions.
    """
    rows = _now.decoding
    if under_way() is not None:
        if mask_function is not causal_mask_function or use_vmap:
            raise NotImplementedError("prompts of which positions see less than all before are not packed")
        return None
    if rows is None:
        mask: torch.Tensor | None = sdpa_mask(
            batch_size, q_length, kv_length, mask_function=mask_function, use_vmap=use_vmap, device=device, **kwargs
        )
        return mask
    if rows.by_row and mask_function is causal_mask_function:
        return None
    if use_vmap:
        raise NotImplementedError("its masks have a rule of their own")
    batch = torch.arange(batch_size, device=device).view(-1, 1, 1, 1)
    keys = torch.arange(kv_length, device=device).view(1, 1, 1, -1)
    visible = mask_function(batch, batch.new_zeros(1, 1, 1, 1), rows.positions.view(-1, 1, 1, 1), keys)
    visible = visible.expand(batch_size, 1, 1, kv_length).contiguous()
    if rows.by_row:
        counts, firsts = visible.sum(-1).flatten().tolist(), visible.int().argmax(-1).flatten().tolist()
        starts = [f if n - f == count else None for f, count, n in zip(firsts, counts, rows.lengths, strict=False)]
        rows.starts[visible.data_ptr()] = (starts, visible)
    return visible


def register() -> str:
    """Register the function with transformers and return the name to load a model with."""
    AttentionInterface.register(NAME, attention_by_row)
    AttentionMaskInterface.register(NAME, mask_by_row)
    return NAME
