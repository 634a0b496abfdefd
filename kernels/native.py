"""The compiled CPU operators: built once with the user's own compiler, kept in the cache folder, never a requirement.

Where there is no compiler, or CIPHER_DEBATE_NATIVE=0 is set, `refusal()` says so and the torch implementations serve. There is
a built file for each source, compiler and processor: building.py.
"""

import ctypes
import os
import platform
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from kernels.building import Signatures, build, cpp_compiler, opened

_SOURCES = Path(__file__).parent / "csrc"
_FLAGS = [
    "-O3",
    "-march=native",
    "-std=c++17",
    "-fPIC",
    "-shared",
    "-fopenmp",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Wno-maybe-uninitialized",
]

_P, _L, _I, _F, _D = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_float, ctypes.c_double
_SIGNATURES: Signatures = {
    "belief_scan": ([_P, _L, _L, _L, _P, _D, _P, _L, _D, _L, *[_P] * 17, _I], None),
    "belief_expectation": ([_P, _L, _L, _L, *[_P] * 10, _L, _I, _L, _P, _P, _I], None),
    "belief_support": ([_P, _L, _P, _F, _F, _L, _F, _P, _P], _L),
    "belief_sample": ([_P, _L, _L, _L, *[_P] * 6, _I], None),
    "mix_rows": ([_P, _I, _L, _L, _P, _P, _P, _P, _I], None),
    "add_gumbel": ([_P, _L, _L, _L, _P, _P, _P, _P, _I], None),
    "nearest_has_vnni": ([], _I),
    "nearest_packed_bytes": ([_L, _L], _L),
    "nearest_pack": ([_P, _I, _L, _L, *[_P] * 6, _I], None),
    "nearest_search": ([_P, _L, _P, _I, _L, _L, *[_P] * 9, _I], None),
    "nearest_prove": ([_P, _L, _P, _L, _P, _P, _I, _L, _L, *[_P] * 9, _I], _L),
    "use_huge_pages": ([_P, _L], _I),
    "attention": ([_P, _I, _L, _L, _L, _P, _P, _I, _L, _P, _F, _F, _P, _L, *[_P] * 9, _I], _I),
}


def refusal(*tensors: Tensor | None) -> str | None:
    """Why the compiled operators cannot serve these tensors, or None if they can."""
    for tensor in tensors:
        if tensor is None:
            continue
        if tensor.device.type != "cpu":
            return f"it runs on the CPU, got a tensor on {tensor.device}"
        if tensor.dtype not in (torch.float32, torch.bfloat16):
            return f"it reads float32 and bfloat16, got {tensor.dtype}"
    return _load()[1]


def library() -> ctypes.CDLL:
    """The loaded library; call only where `refusal()` is None."""
    loaded, reason = _load()
    assert loaded is not None, reason
    return loaded


def pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def threads() -> int:
    return torch.get_num_threads()


@cache
def _load() -> tuple[ctypes.CDLL | None, str | None]:
    if os.environ.get("CIPHER_DEBATE_NATIVE") == "0":
        return None, "switched off by CIPHER_DEBATE_NATIVE=0"
    return opened(_build, _SIGNATURES)


def _build() -> Path:
    sources = sorted(_SOURCES.glob("*.cpp"))
    read = [*sources, *_SOURCES.glob("*.h")]
    return build("vocabulary", cpp_compiler(), _FLAGS, sources, read, _processor())


def _processor() -> str:
    """What distinguishes processors that share a cache folder: code is built for the one it runs on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
