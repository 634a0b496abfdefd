"""Attention over the vocabulary on the CPU: the compiled walk, and blocks through torch's matrix library.

B rows, V tokens, D query width, W value width, K top-k.
"""

import torch
from torch import Tensor

from kernels import native
from kernels.attention import reference
from kernels.attention.partial import VocabularyPartial, merge_partials, merge_stacked
from kernels.native import pointer

_BLOCK = 4096


def blocked(
    hidden: Tensor,
    head: Tensor,
    table: Tensor,
    temperature: Tensor,
    scale: float,
    softcap: float,
    bias: Tensor | None,
    top_k: int,
) -> VocabularyPartial:
    """One block's logits live at a time; in tied tables a block serves as keys and as values while it is in the cache."""
    whole: VocabularyPartial | None = None
    for start in range(0, max(1, head.shape[0]), _BLOCK):
        here = slice(start, start + _BLOCK)
        keys = head[here].float()
        values = keys if table is head else table[here].float()
        z = reference.logits(hidden, keys, scale, softcap, None if bias is None else bias[here])
        part = reference.partial_from_logits(z, values, temperature, top_k).shifted(start)
        whole = part if whole is None else merge_partials([whole, part], temperature)
    assert whole is not None
    return whole


def compiled(
    hidden: Tensor,
    head: Tensor,
    table: Tensor,
    temperature: Tensor,
    scale: float,
    softcap: float,
    bias: Tensor | None,
    top_k: int,
) -> VocabularyPartial:
    """A part of the vocabulary a thread, merged at the end; see csrc/attention.cpp."""
    rows, width = hidden.shape
    vocabulary, value_width = table.shape
    parts = native.threads()
    padded = torch.zeros(rows, (width + 31) // 32 * 32)
    padded[:, :width] = hidden
    narrow = padded.bfloat16() if hidden.dtype == head.dtype == torch.bfloat16 else None
    head, temperature = head.contiguous(), temperature.contiguous()
    table = head if table is head else table.contiguous()
    bias = None if bias is None else bias.float().contiguous()
    maximum = torch.empty(parts, rows)
    total, energy = torch.empty(2, parts, rows, dtype=torch.float64)
    argmax = torch.empty(parts, rows, dtype=torch.int64)
    accumulator = torch.empty(parts, rows, value_width)
    top_values = torch.empty(parts, rows, top_k)
    top_ids = torch.empty(parts, rows, top_k, dtype=torch.int64)
    has_nan = torch.empty(parts, rows, dtype=torch.int32)
    outputs = (maximum, total, energy, argmax, accumulator, top_values, top_ids, has_nan)
    native.library().attention_parts(
        pointer(padded), pointer(narrow), rows, vocabulary, width, pointer(head), pointer(table),
        int(head.dtype == torch.bfloat16), value_width, pointer(temperature), scale, softcap, pointer(bias), top_k, parts,
        *map(pointer, outputs), native.threads(),
    )  # fmt: skip
    maximum[has_nan != 0] = float("nan")
    stacked = VocabularyPartial(maximum, total, energy, accumulator, argmax, top_values, top_ids)
    return merge_stacked(stacked, temperature)
