"""Attention over the vocabulary on the CPU: the compiled walk, and blocks through torch's matrix library.

B rows, V tokens, D query width, W value width, K top-k.
"""

import torch
from torch import Tensor

from kernels import native
from kernels.attention import reference
from kernels.attention.call import Call
from kernels.attention.partial import VocabularyAttention, VocabularyPartial, merge_partials
from kernels.belief import check_maxima
from kernels.native import pointer

_BLOCK = 4096


def blocked(call: Call) -> VocabularyPartial:
    """One block's logits live at a time; in tied tables a block serves as keys and as values while it is in the cache."""
    whole: VocabularyPartial | None = None
    for start in range(0, max(1, call.head.shape[0]), _BLOCK):
        here = slice(start, start + _BLOCK)
        keys = call.head[here].float()
        values = keys if call.table is call.head else call.table[here].float()
        bias = None if call.bias is None else call.bias[here]
        z = reference.logits(call.hidden, keys, call.scale, call.softcap, bias)
        part = reference.partial_from_logits(z, values, call.temperature, call.top_k).shifted(start)
        whole = part if whole is None else merge_partials([whole, part], call.temperature)
    assert whole is not None
    return whole


def compiled(call: Call) -> VocabularyPartial:
    """A part of the vocabulary a thread, merged in the order of the parts; see csrc/attention.cpp."""
    rows = len(call.hidden)
    maximum, argmax, top_values, top_ids = _outputs(rows, call.top_k)
    total, energy = (torch.empty(rows, dtype=torch.float64) for _ in range(2))
    accumulator = torch.empty(rows, call.table.shape[1])
    _walk(call, maximum, total, energy, accumulator, None, None, argmax, top_values, top_ids)
    return VocabularyPartial(maximum, total, energy, accumulator, argmax, top_values, top_ids)


def compiled_whole(call: Call) -> VocabularyAttention:
    """What `finish` makes of `compiled`, without its dozens of small operators: after a walk over a table each of them is cold.

    Raises:
        InvalidBelief: a row's logits hold NaN or +inf, or nothing but −inf.
    """
    rows = len(call.hidden)
    maximum, argmax, top_values, top_ids = _outputs(rows, call.top_k)
    facts = torch.empty(3, rows)
    logsumexp, max_probability, entropy = facts.unbind()
    expectation = torch.empty(rows, call.table.shape[1], dtype=call.table.dtype)
    if not _walk(call, maximum, None, None, None, facts, expectation, argmax, top_values, top_ids):
        check_maxima(maximum)
    return VocabularyAttention(expectation, logsumexp, argmax, max_probability, entropy, top_values, top_ids)


def _outputs(rows: int, top_k: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Room for maximum, argmax and the largest logits."""
    ids = torch.empty(rows, top_k, dtype=torch.int64)
    return torch.empty(rows), torch.empty(rows, dtype=torch.int64), torch.empty(rows, top_k), ids


def _walk(call: Call, *outputs: Tensor | None) -> int:
    hidden, head, table, bias = call.hidden, call.head, call.table, call.bias
    if hidden.dtype != torch.bfloat16:
        hidden = hidden.float()
    tied, temperature = table is head, call.temperature.contiguous()
    hidden, head = hidden.contiguous(), head.contiguous()
    table = head if tied else table.contiguous()
    bias = None if bias is None else bias.float().contiguous()
    return native.library().attention(  # type: ignore[no-any-return]
        pointer(hidden), hidden.dtype == torch.bfloat16, *hidden.shape[:1], *head.shape, pointer(head), pointer(table),
        head.dtype == torch.bfloat16, table.shape[1], pointer(temperature), call.scale, call.softcap, pointer(bias), call.top_k,
        *map(pointer, outputs), native.threads(),
    )  # fmt: skip
