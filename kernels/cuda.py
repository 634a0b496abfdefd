"""The CUDA C++ operators, built once with the user's nvcc, never a requirement; and the same as a CPU emulates them, for tests.

Where there is no nvcc, `refusal()` says so and the Triton kernels serve. There is a built file for each source, compiler,
architecture and kind of processor: building.py. With CIPHER_DEBATE_CUDA_EMULATION=SEED, tensors on the CPU are served by
csrc/cuda/emulated.h: slowly, and only where the implementation is asked for by name.
"""

import ctypes
import os
import platform
import shutil
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from kernels.building import BuildFailed, Signatures, build, cpp_compiler, opened

_SOURCES = Path(__file__).parent / "csrc" / "cuda"
_SOURCE = _SOURCES / "attention.cu"
ARCHITECTURE = "sm_90a"
# Everything beside what is made of the source.
FLAGS = ["-O3", "-std=c++17", f"-arch={ARCHITECTURE}"]
# Where nvcc itself looks for more.
_NVCC_ADDS = ("NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS")
_LIBRARY = ["-Xcompiler", "-fPIC", "-shared", "-cudart", "static"]
# Fibers jump between stacks, which fortified code takes for an error.
_EMULATION = ["-x", "c++", "-std=c++17", "-O2", "-U_FORTIFY_SOURCE", "-Wno-unknown-pragmas", "-fPIC", "-shared"]
_CAPABILITY = (9, 0)

_P, _L, _I, _F, _U = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_float, ctypes.c_uint32
_SIGNATURES: Signatures = {
    "cluster_attention_parts": ([_I, _I], _I),
    "cluster_attention_shared_bytes": ([_I], _I),
    "cluster_attention_run": ([_P, _P, _L, _L, _L, _P, _P, _F, _F, _L, *[_P] * 9, _I, _P, _U], ctypes.c_char_p),
}


def refusal(asked: str, *tensors: Tensor) -> str | None:
    """Why the operators of csrc/cuda cannot serve these tensors, or None if they can.

    `asked` is the implementation's name, or "auto", which is never emulated.
    """
    for tensor in tensors:
        if tensor.device.type == "cuda":
            if torch.version.hip:
                return "it is written for NVIDIA's Hopper, and torch is built for ROCm"
            capability = torch.cuda.get_device_capability(tensor.device)
            if capability != _CAPABILITY:
                return f"it is written for Hopper, compute capability 9.0, and this device has {capability[0]}.{capability[1]}"
        elif tensor.device.type != "cpu" or asked == "auto" or emulation_seed() is None:
            return f"it runs on GPUs, got a tensor on {tensor.device}"
    return _load(emulated=any(tensor.device.type == "cpu" for tensor in tensors))[1]


def library(device: torch.device) -> ctypes.CDLL:
    """The loaded library; call only where `refusal()` is None."""
    loaded, reason = _load(emulated=device.type == "cpu")
    assert loaded is not None, reason
    return loaded


def emulation_seed() -> int | None:
    """From what the order of what an emulated device does at once is drawn; None where nothing is emulated."""
    given = os.environ.get("CIPHER_DEBATE_CUDA_EMULATION", "")
    return int(given) if given.isdecimal() else None


def nvcc() -> str:
    """The CUDA compiler: $NVCC, or the one on PATH, of $CUDA_HOME or of /usr/local/cuda.

    Raises:
        BuildFailed: there is none.
    """
    homes = [os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    given = os.environ.get("NVCC")
    names = [given] if given else ["nvcc", *(f"{home}/bin/nvcc" for home in homes if home)]
    for name in names:
        if found := shutil.which(name):
            return found
    raise BuildFailed(f"no CUDA compiler found (looked for {', '.join(names)}); set NVCC to use another")


@cache
def _load(*, emulated: bool) -> tuple[ctypes.CDLL | None, str | None]:
    return opened(lambda: _build(emulated=emulated), _SIGNATURES)


def _build(*, emulated: bool) -> Path:
    read = [*_SOURCES.glob("*.cu"), *_SOURCES.glob("*.h")]
    # A library runs on processors of one kind, and homes are shared between x86 hosts and Grace Hopper's Arm.
    machine = platform.machine()
    if emulated:
        return build("emulated", cpp_compiler(), _EMULATION, [_SOURCE], read, machine)
    added = [os.environ.get(name, "") for name in _NVCC_ADDS]
    return build("cuda", [nvcc()], [*FLAGS, *_LIBRARY], [_SOURCE], read, "\0".join([machine, *added]))
