"""Sequences of different lengths in one forward pass without padding (ByteTransformer: Zhai et al., IPDPS 2023,
arXiv:2210.03052).

The tokens of all sequences stand one after the other as one row, [1, Σ lengths, D], before the first matrix product; every
linear map and norm runs over that row, and attention alone looks at where each sequence begins. Products over padding are not
computed, where a padded batch computes longest × sequences of them.

What is not here: the fused GPU kernels, to which the paper's speed belongs. Attention is one call a sequence.
N tokens of all sequences, H heads, D width of a head.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "packed_sequences"


@dataclass(frozen=True)
class Run:
    """One sequence of a packed row.

    Attributes:
        length: its tokens.
        slot: where a cache of slots has its keys; None where they stand in the row itself.
        start: its tokens that the cache had before.
    """

    length: int
    slot: int | None = None
    start: int = 0


@dataclass(frozen=True)
class Packing:
    """A packed row.

    Attributes:
        runs: in the order in which they stand.
        causal: whether a token sees those before it alone.
    """

    runs: tuple[Run, ...]
    causal: bool

    @property
    def positions(self) -> torch.Tensor:
        """The position of every token in its own sequence, [N] int64."""
        return torch.cat([torch.arange(run.start, run.start + run.length) for run in self.runs])

    @property
    def spans(self) -> list[slice]:
        """Where each sequence stands in the row."""
        found, end = [], 0
        for run in self.runs:
            found.append(slice(end, end + run.length))
            end += run.length
        return found


class _Now(threading.local):
    packing: Packing | None = None
    # How often the packed attention of an encoder was asked for.
    calls: int = 0


_now = _Now()


@contextmanager
def packed(packing: Packing) -> Iterator[None]:
    """Within it, forward passes of this thread are of one packed row."""
    _now.packing = packing
    try:
        yield
    finally:
        _now.packing = None


def under_way() -> Packing | None:
    """Return the packed row of this thread's forward pass; None where it is of another kind."""
    return _now.packing


def packed_attention(
    packing: Packing, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """Return attention [1, N, H, D] in which every sequence sees itself alone.

    Args:
        packing: the row.
        query: [1, H, N, D].
        key, value: [1, H_kv, N, D], or [slots, H_kv, L, D] of a cache that has the row's own keys already.
        scaling: of the scores; None for 1 / √D.
    """
    found = []
    for run, span in zip(packing.runs, packing.spans, strict=True):
        where = (slice(0, 1), slice(None), span)
        if run.slot is not None:
            where = (slice(run.slot, run.slot + 1), slice(None), slice(0, run.start + run.length))
        mask = None
        if packing.causal and run.start:
            mask = torch.ones(run.length, run.start + run.length, dtype=torch.bool, device=query.device).tril(run.start)
        heard = scaled_dot_product_attention(
            query[:, :, span], key[where], value[where], attn_mask=mask, is_causal=packing.causal and mask is None,
            scale=scaling, enable_gqa=query.shape[1] != key.shape[1],
        )  # fmt: skip
        found.append(heard)
    # As transformers' own attention returns it: JetMoe takes a view of it.
    return torch.cat(found, 2).transpose(1, 2).contiguous()


def encode_packed(body: Any, sequences: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Return the last states [length, D] of each sequence by an encoder, read as one packed row.

    Args:
        body: of transformers, bidirectional, with `position_ids`, whose layers ask for their attention by name (BERT's kind); in
            eval mode, since dropout would draw other numbers than in a padded batch.
        sequences: token numbers, none of them empty.

    Raises:
        ValueError: an empty sequence, or none.
        NotImplementedError: an encoder whose layers see less than the whole sequence, or whose attention is its own.
    """
    if not sequences or not all(len(ids) for ids in sequences):
        raise ValueError("a packed row has at least one sequence, and none of them is empty")
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    packing = Packing(tuple(Run(len(ids)) for ids in sequences), causal=False)
    own = body.config._attn_implementation
    body.set_attn_implementation(NAME)
    # RoBERTa's kind, CamemBERT too, counts positions from behind the padding's, which its embeddings know.
    padding = getattr(getattr(body, "embeddings", None), "padding_idx", None)
    first = 0 if padding is None else padding + 1
    try:
        with packed(packing):
            _now.calls = 0
            row = torch.tensor([[token for ids in sequences for token in ids]], device=body.device)
            states = body(input_ids=row, position_ids=packing.positions[None].to(row.device) + first).last_hidden_state[
                0
            ]
            if not _now.calls:
                raise NotImplementedError(
                    f"{type(body).__name__} does not ask for its attention by name, so its texts would see each other; "
                    "read them padded"
                )
    finally:
        body.set_attn_implementation(own)
    return [states[span] for span in packing.spans]


def _attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, scaling: Any = None, **_: Any
) -> tuple[torch.Tensor, None]:
    packing = under_way()
    assert packing is not None
    _now.calls += 1
    return packed_attention(packing, query, key, value, scaling), None


def _no_mask(*args: Any, mask_function: Any = None, **kwargs: Any) -> None:
    """Return None, as the packing says what each token sees."""
    name = getattr(mask_function, "__name__", "bidirectional_mask_function")
    if name != "bidirectional_mask_function":
        raise NotImplementedError(f"its layers see less than the whole sequence ({name})")
