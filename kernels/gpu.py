"""When the Triton kernels can run, and the few numbers their launchers share."""

import os
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
