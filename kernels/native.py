"""The compiled CPU operators: built once with the user's own compiler, kept in the cache folder, never a requirement.

The library speaks plain C, so that a build takes seconds and does not depend on torch's version. Where there is no
compiler, or CIPHER_DEBATE_NATIVE=0 is set, `refusal()` says so and the torch implementations serve. Built files lie in
$CIPHER_DEBATE_HOME/kernels (~/.cache/cipher-debate/kernels by default), one for each source, compiler and processor.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

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
_COMPILERS = ("g++", "clang++", "c++")

_P, _L, _I, _F, _D = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_float, ctypes.c_double
_SIGNATURES: dict[str, tuple[list[type], type | None]] = {
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


class _BuildFailed(Exception):
    """The library could not be built; the message is the reason given to the user."""


def cache_folder() -> Path:
    """Where built libraries are kept."""
    home = os.environ.get("CIPHER_DEBATE_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "cipher-debate") / "kernels"


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
    try:
        loaded = ctypes.CDLL(str(_build()))
    except (_BuildFailed, OSError) as error:
        return None, str(error)
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, result
    return loaded, None


def _build() -> Path:
    command = _compiler()
    sources = sorted(_SOURCES.glob("*.cpp"))
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout
    key = hashlib.sha256()
    for part in (*(path.read_text() for path in sorted(_SOURCES.iterdir())), *command, *_FLAGS, version, _processor()):
        key.update(part.encode() + b"\0")
    built = cache_folder() / f"vocabulary-{key.hexdigest()[:16]}.so"
    if built.exists():
        return built
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        target = Path(folder) / built.name
        done = subprocess.run(
            [*command, *_FLAGS, "-o", str(target), *map(str, sources)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise _BuildFailed(f"{shlex.join(command)} failed: {done.stderr.strip()[-500:]}")
        # Two processes may build at once: each renames a complete file over the other's.
        target.replace(built)
    return built


def _compiler() -> list[str]:
    """The C++ compiler's command: $CXX, or the first one found."""
    given = os.environ.get("CXX")
    for command in [shlex.split(given)] if given else [[name] for name in _COMPILERS]:
        if shutil.which(command[0]):
            return command
    raise _BuildFailed(f"no C++ compiler found (looked for {given or ', '.join(_COMPILERS)}); set CXX to use another")


def _processor() -> str:
    """What distinguishes processors that share a cache folder: code is built for the one it runs on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
