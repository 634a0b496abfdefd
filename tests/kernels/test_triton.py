"""The Triton kernels through Triton's interpreter, and on a GPU where there is one.

Triton decides at its import whether it interprets, and torch imports it for its own purposes: hence the process apart.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def run_cases(cases, *options, **environment):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=800", *options]
    command.append(str(HERE / cases))
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.timeout(900)
def test_through_the_interpreter():
    pytest.importorskip("triton")
    run_cases("triton_cases.py", TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")


@pytest.mark.timeout(900)
def test_compiled_for_a_gpu_that_is_not_there():
    pytest.importorskip("triton")
    run_cases("compiled_cases.py", TRITON_INTERPRET="0", CUDA_VISIBLE_DEVICES="")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_all_else_that_is_compiled():
    pytest.importorskip("triton")
    run_cases("compiled_cases.py", "-m", "long", TRITON_INTERPRET="0", CUDA_VISIBLE_DEVICES="")


@pytest.mark.gpu
def test_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    run_cases("triton_cases.py", TRITON_INTERPRET="0")
