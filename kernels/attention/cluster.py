"""Attention over a tied vocabulary by clusters of blocks on Hopper: the launcher of csrc/cuda.

B rows, V tokens, D width, S parts of the vocabulary, one for each cluster. No GPU has run it, so "auto" takes it only where
CIPHER_DEBATE_GPU_CLUSTER=1 says so.
"""

from ctypes import CDLL
from functools import cache

import torch
from torch import Tensor

from kernels import cuda, gpu
from kernels.attention.call import Call
from kernels.attention.partial import VocabularyAttention, VocabularyPartial
from kernels.belief import check_maxima
from kernels.native import pointer

# Of csrc/cuda/attend.h: queries, tokens of a tile, columns of one block, blocks of a cluster.
_ROWS, _TOKENS, _COLUMNS, _LARGEST_CLUSTER = 16, 16, 1024, 8
# Bytes of two queries' columns, which are read at once.
_PAIR = 4


def refusal(asked: str, call: Call) -> str | None:
    """Why the clusters cannot serve this call, or None if they can; `asked` is the implementation's name or "auto"."""
    if asked == "auto" and call.hidden.device.type != "cuda":
        return f"it runs on GPUs, got a tensor on {call.hidden.device}"
    if asked == "auto" and not gpu.in_clusters():
        return "no device has timed it yet; CIPHER_DEBATE_GPU_CLUSTER=1 lets it serve"
    if why := _unfit(call) or cuda.refusal(asked, call.hidden, call.head):
        return why
    blocks = call.hidden.shape[1] // _COLUMNS
    return None if _at_once(call.hidden.device, blocks) else f"this device runs no cluster of {blocks} of its blocks"


def attend(call: Call) -> VocabularyPartial:
    """The part that the whole of `head` is."""
    rows, width = call.hidden.shape
    device = call.hidden.device
    total, energy = (torch.empty(rows, dtype=torch.float64, device=device) for _ in range(2))
    accumulator = torch.empty(rows, width, device=device)
    maximum, argmax = _run(call, total, energy, accumulator, None, None)
    values, ids = torch.empty(rows, 0, device=device), torch.empty(rows, 0, dtype=torch.int64, device=device)
    return VocabularyPartial(maximum, total, energy, accumulator, argmax, values, ids)


def attend_whole(call: Call) -> VocabularyAttention:
    """What `finish` makes of `attend`, from the launch that merges the parts.

    Raises:
        InvalidBelief: a row's logits hold NaN or +inf, or nothing but −inf.
    """
    rows, width = call.hidden.shape
    device = call.hidden.device
    facts = torch.empty(3, rows, device=device)
    mean = torch.empty(rows, width, dtype=torch.bfloat16, device=device)
    maximum, argmax = _run(call, None, None, None, facts, mean)
    check_maxima(maximum)
    logsumexp, max_probability, entropy = facts.unbind()
    values, ids = torch.empty(rows, 0, device=device), torch.empty(rows, 0, dtype=torch.int64, device=device)
    return VocabularyAttention(mean, logsumexp, argmax, max_probability, entropy, values, ids)


def _unfit(call: Call) -> str | None:
    hidden, head = call.hidden, call.head
    rows, width = hidden.shape
    if call.table is not head:
        return "it reads one table for keys and values, got two"
    if hidden.dtype != torch.bfloat16 or head.dtype != torch.bfloat16:
        return f"it reads bfloat16, got hidden states in {hidden.dtype} and a table in {head.dtype}"
    if rows > _ROWS:
        return f"it takes at most {_ROWS} rows at once, got {rows}"
    if width % _COLUMNS or not 0 < width <= _COLUMNS * _LARGEST_CLUSTER:
        return (
            f"it takes a width that is a multiple of {_COLUMNS} and at most {_COLUMNS * _LARGEST_CLUSTER}, got {width}"
        )
    if call.top_k:
        return f"it reports no largest logits: top_k must be 0, got {call.top_k}"
    if not 0 < len(head) < 2**31:
        return f"it takes a table of 1 to 2^31 − 1 rows, got {len(head)}"
    # Bulk copies move multiples of 16 bytes from such addresses.
    if not head.is_contiguous() or head.storage_offset() % 8:
        return "it reads the table as it lies: its rows must follow one another, from a multiple of 16 bytes on"
    return None


@cache
def _clusters(library: CDLL, index: int, blocks: int) -> int:
    """How many clusters of so many blocks run at once on a device; asked once, for the answer takes longer than a launch."""
    count: int = library.cluster_attention_parts(index, blocks)
    return count


def _at_once(device: torch.device, blocks: int) -> int:
    # The library chooses the device that it is asked about; the caller's stays the current one.
    with torch.cuda.device(_index(device) if device.type == "cuda" else -1):
        return _clusters(cuda.library(device), _index(device), blocks)


def _index(device: torch.device) -> int:
    if device.type != "cuda":
        return 0
    return torch.cuda.current_device() if device.index is None else device.index


def _run(
    call: Call,
    total: Tensor | None,
    energy: Tensor | None,
    accumulator: Tensor | None,
    facts: Tensor | None,
    mean: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """(maximum [B], argmax [B]); the rest is written into what is given: see Merge of csrc/cuda/merge.h."""
    rows, width = call.hidden.shape
    vocabulary, device = len(call.head), call.hidden.device
    maximum, argmax = torch.empty(rows, device=device), torch.empty(rows, dtype=torch.int64, device=device)
    if not rows:
        return maximum, argmax
    library, on_gpu, index = cuda.library(device), device.type == "cuda", _index(device)
    parts = min(_at_once(device, width // _COLUMNS), -(-vocabulary // _TOKENS))
    statistics = torch.empty(4, parts, rows, device=device)
    sums = torch.empty(parts, rows, width, device=device)  # [S, B, D]
    hidden, temperature = call.hidden.contiguous(), call.temperature.contiguous()
    if hidden.data_ptr() % _PAIR:
        hidden = hidden.clone()
    bias = None if call.bias is None else call.bias.float().contiguous()
    stream = torch.cuda.current_stream(device).cuda_stream if on_gpu else None
    outputs = (maximum, argmax, total, energy, accumulator, facts, mean)
    inputs = (hidden, call.head, rows, vocabulary, width, temperature, bias, call.scale, call.softcap, parts)
    arguments = [pointer(a) if isinstance(a, Tensor) else a for a in (*inputs, statistics, sums, *outputs)]
    with torch.cuda.device(index if on_gpu else -1):
        failed = library.cluster_attention_run(*arguments, index, stream, cuda.emulation_seed() or 0)
    if failed:
        raise RuntimeError(f"attention over the vocabulary by clusters on {device}: {failed.decode()}")
    return maximum, argmax
