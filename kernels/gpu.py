"""When the Triton kernels can run, and the few numbers their launchers share."""

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

# Whether products and sums may be fused. Triton 3.9 fuses them, says that the next one will not, and warns until it is told.
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")


def refusal(asked: str, *tensors: Tensor) -> str | None:
    """Why the Triton kernels cannot serve these tensors, or None if they can.

    On CPU tensors they run through Triton's interpreter, for tests: only where TRITON_INTERPRET=1 is set and "triton" is
    asked for by name.
    """
    for tensor in tensors:
        if tensor.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            return f"it reads float32, bfloat16 and float16, got {tensor.dtype}"
        if tensor.device.type == "cuda":
            continue
        if asked != "triton" or os.environ.get("TRITON_INTERPRET") != "1":
            return f"it runs on GPUs, got a tensor on {tensor.device}"
    return None if _installed() else "triton is not installed"


def leaves_out() -> bool:
    """Whether engines on a GPU leave unlikely tokens to stand-ins, as on the CPU: CIPHER_DEBATE_GPU_SPARSE=1.

    Without it they read the whole table at each step. No device has timed the two beside each other yet.
    """
    return os.environ.get("CIPHER_DEBATE_GPU_SPARSE") == "1"


def in_clusters() -> bool:
    """Whether attention over a tied vocabulary may be left to clusters of blocks: CIPHER_DEBATE_GPU_CLUSTER=1.

    Without it they serve only where they are asked for by name. No device has run them yet.
    """
    return os.environ.get("CIPHER_DEBATE_GPU_CLUSTER") == "1"


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """One call's time on a GPU, between two events.

    A buffer larger than any cache is written before: so nothing of the call lies in a cache, and meanwhile the processor gets
    ahead with its launches, which are not timed unless the call itself waits.
    """
    _flood(device).zero_()
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in "12")  # type: ignore[no-untyped-call]
    begun.record()
    run()
    ended.record()
    ended.synchronize()
    return float(begun.elapsed_time(ended)) / 1e3


def free_flood() -> None:
    """Give the memory back that `seconds` writes."""
    _flood.cache_clear()


@cache
def _flood(device: torch.device) -> Tensor:
    return torch.empty(2**28, dtype=torch.uint8, device=device)


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


def splits(vocabulary: int, block: int, others: int, device: torch.device) -> int:
    """Into how many parts to cut the vocabulary so that `others` programs a part fill the device twice over."""
    if device.type != "cuda":
        return min(3, -(-vocabulary // block))
    processors: int = torch.cuda.get_device_properties(device).multi_processor_count
    return max(1, min(-(-vocabulary // block), -(-2 * processors // max(1, others))))


def power_of_two(n: int, least: int, most: int) -> int:
    """The smallest power of two that is at least n, within bounds."""
    return max(least, min(most, 1 << max(0, n - 1).bit_length()))
