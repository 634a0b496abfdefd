"""Attention over a tied vocabulary by clusters of blocks, compiled for a GPU that is not there: registers, instructions."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kernels import cuda
from kernels.building import BuildFailed


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
