"""The Triton kernels compiled for an H100 (sm_90a), which needs no GPU; test_triton.py runs these in a process of their own.

What a compiler can tell of a kernel before any device has run it: that it compiles at the shapes of real models, that no register
is spilled to memory, that products are made by matrix instructions, and that its shared memory fits.
"""

import os
import re
import subprocess
import tempfile

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from kernels.attention import triton as attention
from kernels.expectation import sparse
from kernels.expectation import triton as expectation
from kernels.nearest import triton as nearest

# Bytes that one block of threads may have on an H100 or H200.
SHARED = 227 * 1024
# D of SmolLM2, Qwen3 0.6B and Llama 3 8B; requests at once.
WIDTHS, ROWS = (576, 1024, 4096), (1, 32, 64)
# A compilation takes seconds, so that `make test` has the largest width and a share of the numbers of rows.
EVERY_SHAPE = [
    pytest.param(rows, width, marks=() if (rows, width) in {(1, 4096), (64, 576)} else pytest.mark.long)
    for rows in ROWS
    for width in WIDTHS
]
EVERY_LAUNCH = [pytest.param(rows, marks=() if rows == 32 else pytest.mark.long) for rows in (16, 32, 64)]


class Compiled:
    """A kernel for sm_90a, and what its assembler says of it."""

    def __init__(self, function, signature, constants, **options):
        # As a launch finds them: pointers and sizes that 16 divides, and rows that lie one after the other.
        order = list(signature)
        aligned = [name for name in order if signature[name][0] == "*" or name in ("D", "W", "V", "table_stride")]
        unit = {name: 1 for name in order if name == "column_stride"}
        attributes = {(order.index(name),): [["tt.divisibility", 16]] for name in aligned}
        known = {**constants, **unit}
        types = {**signature, **dict.fromkeys(known, "constexpr")}
        source = ASTSource(fn=function, signature=types, constexprs=known, attrs=attributes)
        kernel = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        self.ptx, self.shared = kernel.asm["ptx"], kernel.metadata.shared
        target = re.search(r"\.target\s+(\S+?),?\s", self.ptx)[1]
        with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
            file.write(self.ptx)
            file.flush()
            command = [get_ptxas(90).path, "-v", f"-arch={target}", "-o", os.devnull, file.name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        self.spilled = [int(n) for n in re.findall(r"(\d+) bytes spill (?:stores|loads)", done.stderr)]
        self.registers = int(re.search(r"Used (\d+) registers", done.stderr)[1])

    def check(self, *, multiplies):
        assert self.spilled, "the assembler said nothing of spills"
        assert not any(self.spilled), self.spilled
        assert self.shared <= SHARED
        assert bool(re.search(r"wgmma\.mma_async|mma\.sync", self.ptx)) == multiplies


def apart(launch):
    """A launch as what the kernel takes and what Triton takes."""
    options = {name: count for name, count in launch.items() if name.startswith("num_")}
    return {name: size for name, size in launch.items() if name not in options}, options


def product_signature(kind, **more):
    signature = {**dict.fromkeys(("high", "low"), kind), **more, "table": kind}
    signature |= {**dict.fromkeys(("table_stride", "column_stride"), "i32"), "sums": "*fp32"}
    return signature | dict.fromkeys(("B", "V", "D"), "i32")


@pytest.mark.parametrize(("rows", "width"), EVERY_SHAPE)
def test_the_product_of_weights_and_a_table(rows, width):
    launch, *_ = expectation.product_candidates(rows, width, torch.bfloat16)
    shape, options = apart(launch)
    signature = {**product_signature("*bf16"), "span": "i32"}
    compiled = Compiled(expectation._product_kernel, signature, {"HALVES": True, "WIDEN": False, **shape}, **options)
    compiled.check(multiplies=True)
    # Widened, a tile took 1,500 of these.
    assert compiled.ptx.count("fma.rn.f32") < 32


@pytest.mark.parametrize("rows", EVERY_LAUNCH)
def test_every_launch_of_the_product_that_may_be_timed(rows):
    gathering = product_signature("*bf16", ids="*i32", count="*i32")
    for launch in expectation.product_candidates(rows, 4096, torch.bfloat16):
        shape, options = apart(launch)
        constants = {"HALVES": True, "WIDEN": False, **shape}
        signature = {**product_signature("*bf16"), "span": "i32"}
        Compiled(expectation._product_kernel, signature, constants, **options).check(multiplies=True)
        gathered, options = apart(sparse.gather_launch(launch))
        Compiled(sparse._gather_kernel, gathering, {**constants, **gathered}, **options).check(multiplies=True)


def test_the_product_with_other_tables():
    for kind, dtype in (("*fp16", torch.float16), ("*fp32", torch.float32)):
        is_half = dtype == torch.float16
        for launch in expectation.product_candidates(16, 1024, dtype)[: 1 if is_half else None]:
            shape, options = apart(launch)
            constants = {"HALVES": is_half, "WIDEN": False, **shape}
            signature = {**product_signature(kind), "span": "i32"}
            # float32 is multiplied as it is: no matrix instruction has its precision.
            Compiled(expectation._product_kernel, signature, constants, **options).check(multiplies=is_half)


def test_the_walks_that_leave_tokens_out():
    belief = {"logits_stride": "i32", "maximum": "*fp32", "inverse": "*fp32", "argmax": "*i64"}
    for kind in ("*fp32", "*bf16"):
        signature = {"logits": kind, **belief, **dict.fromkeys(("sums", "masses"), "*fp32"), "V": "i32", "span": "i32"}
        for squared in (True, False):
            constants = {"SQUARED": squared, "CLASSES": 128, "BLOCK": 128}
            Compiled(sparse._classes_kernel, signature, constants).check(multiplies=False)
        signature = {
            "logits": kind,
            **belief,
            "floors": "*i32",
            "coordinates": "*fp32",
            "high": "*bf16",
            "low": "*bf16",
        }
        signature |= {"needed": "*i8", "facts": "*fp32", "counts": "*i32", "V": "i32", "span": "i32", "factor": "fp32"}
        for rank in (0, 2):
            constants = {"K": rank, "CLASSES": 128, "BLOCK": 1024}
            Compiled(sparse._kept_kernel, signature, constants).check(multiplies=False)


def test_the_walks_over_logits():
    for kind in ("*fp32", "*bf16"):
        signature = {"logits": kind, "logits_stride": "i32", "maxima": "*fp32", "places": "*i64", "nans": "*i32"}
        signature |= {"V": "i32", "span": "i32"}
        Compiled(expectation._leaders_kernel, signature, {"BLOCK": 1024}).check(multiplies=False)
        signature = {"logits": kind, "logits_stride": "i32", "maximum": "*fp32", "inverse": "*fp32", "argmax": "*i64"}
        signature |= {
            "high": "*bf16",
            "low": "*bf16",
            "totals": "*fp32",
            "energies": "*fp32",
            "V": "i32",
            "span": "i32",
        }
        signature |= {"factor": "fp32"}
        Compiled(expectation._weights_kernel, signature, {"BLOCK": 1024}).check(multiplies=False)
    signature = {**dict.fromkeys(("sums", "divisor", "rest", "basis"), "*fp32"), "vectors": "*bf16"}
    signature |= dict.fromkeys(("parts", "B", "D"), "i32")
    for rank in (0, 2):
        Compiled(expectation._merge_kernel, signature, {"K": rank, "BLOCK_D": 1024}).check(multiplies=False)


@pytest.mark.parametrize("rows", [16, 64])
def test_the_search_for_the_nearest_token(rows):
    signature = {"pieces": "*bf16", "needed": "*i8", "table": "*bf16", "table_stride": "i32", "column_stride": "i32"}
    signature |= {"inverse_norms": "*fp32", "maxima": "*fp32", **dict.fromkeys(("N", "V", "D", "blocks"), "i32")}
    for launch in nearest.search_candidates(rows, torch.empty(128, 4096, dtype=torch.bfloat16, device="meta")):
        shape, options = apart(launch)
        constants = {"PIECES": 3, "WIDEN": False, "BLOCK_V": nearest._BLOCK, **shape}
        Compiled(nearest._block_maxima_kernel, signature, constants, **options).check(multiplies=True)


def test_the_exact_cosines_of_the_nearest_token():
    signature = {
        "vectors": "*fp64",
        "needed": "*i8",
        "table": "*bf16",
        "table_stride": "i32",
        "column_stride": "i32",
        "lengths": "*fp64",
    }
    signature |= {"maxima": "*fp32", "floors": "*fp32", "best": "*fp64", "second": "*fp64", "ids": "*i64"}
    signature |= dict.fromkeys(("V", "D", "blocks"), "i32")
    Compiled(nearest._decide_kernel, signature, {"BLOCK_V": 64, "BLOCK_D": 32}).check(multiplies=False)


@pytest.mark.parametrize("top", [0, 8])
def test_attention_over_the_vocabulary(top):
    signature = {"hidden": "*bf16", "hidden_stride": "i32", "head": "*bf16", "head_stride": "i32", "table": "*bf16"}
    signature |= {
        "table_stride": "i32",
        "inverse": "*fp32",
        "bias": "*fp32",
        **dict.fromkeys(("maxima", "totals"), "*fp32"),
    }
    signature |= {"energies": "*fp32", "argmaxes": "*i64", "sums": "*fp32", "top_values": "*fp32", "top_ids": "*i64"}
    signature |= {**dict.fromkeys(("B", "V", "D", "W", "span"), "i32"), "scale": "fp32", "softcap": "fp32"}
    constants = {
        "HAS_BIAS": False,
        "HAS_SOFTCAP": False,
        "K": top,
        "SLOTS": max(1, top),
        "WIDEN": False,
        "HALVES": True,
    }
    constants |= {"FACTOR": 1.0, "BLOCK_B": 16, "BLOCK_V": 32, "BLOCK_D": 128}
    Compiled(attention._attention_kernel, signature, constants).check(multiplies=True)
