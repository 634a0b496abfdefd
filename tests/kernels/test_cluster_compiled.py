"""Attention over a tied vocabulary by clusters of blocks, compiled for a GPU that is not there: registers, memory, instructions."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kernels import cuda
from kernels.building import BuildFailed, cpp_compiler

# Bytes that one block of threads may have on an H100 or H200.
SHARED = 227 * 1024


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """(what ptxas says, the file of machine code)."""
    try:
        compiler = cuda.nvcc()
    except BuildFailed as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("compiled")
    command = [compiler, *cuda.FLAGS, "-cubin", "-Xptxas", "-v", "-o", str(folder / "code"), str(cuda._SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr, folder / "code"


def test_compiled_for_hopper_it_fits_and_spills_nothing(compiled):
    said, _ = compiled
    kernels = re.split("Compiling entry function", said)[1:]
    assert len(kernels) == 2
    for kernel in kernels:
        spilled = re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", kernel)
        assert spilled == ["0"] * 3
        assert int(re.search(r"Used (\d+) registers", kernel)[1]) <= 255


def test_compiled_for_hopper_it_multiplies_by_matrices_and_copies_in_bulk(compiled):
    _, code = compiled
    tool = _disassembler()
    if tool is None:
        pytest.skip("no cuobjdump or nvdisasm, on PATH or of Triton")
    listing = subprocess.run([*tool, str(code)], capture_output=True, text=True, check=True).stdout
    # 8 x 2 products for a tile's logits and 8 x 4 for its sums.
    assert len(re.findall(r"HMMA\.16816\.F32\.BF16", listing)) == 16 + 32
    # Bulk copies into shared memory, and messages of 16 bytes into other blocks'.
    assert "UBLKCP" in listing
    assert "STAS.128" in listing
    assert not re.search(r"\b(LDL|STL)\b", listing)


def _disassembler():
    for name, options in (("cuobjdump", ["-sass"]), ("nvdisasm", [])):
        if found := shutil.which(name):
            return [found, *options]
        try:
            from triton.backends import nvidia
        except ImportError:
            continue
        beside = Path(nvidia.__path__[0]) / "bin" / name
        if os.access(beside, os.X_OK):
            return [str(beside), *options]
    return None


def test_shared_memory_fits_for_every_cluster(tmp_path):
    """What attend.h says of its own needs, asked of the host's compiler."""
    try:
        compiler = cpp_compiler()
    except BuildFailed as error:
        pytest.skip(str(error))
    program = tmp_path / "shared.cpp"
    program.write_text(
        '#include <cstdio>\n#include "emulated.h"\n#include "attend.h"\nusing namespace cluster_attention;\n'
        "int main() { for (int c = 1; c <= LARGEST_CLUSTER; ++c)"
        ' std::printf("%d %d\\n", most_stages(c), shared_bytes(most_stages(c), c)); }\n'
    )
    command = [
        *compiler,
        "-std=c++17",
        "-Wno-unknown-pragmas",
        f"-I{cuda._SOURCES}",
        str(program),
        "-o",
        str(tmp_path / "shared"),
    ]
    subprocess.run(command, check=True)
    lines = subprocess.run([tmp_path / "shared"], capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    stages, sizes = zip(*(map(int, line.split()) for line in lines), strict=True)
    assert len(stages) == 8
    assert max(sizes) <= SHARED
    # Two stages are held while tiles are worked at; the others are under way.
    assert min(stages) >= 5
    assert stages[3] == 6
