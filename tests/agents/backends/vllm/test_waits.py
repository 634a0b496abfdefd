"""Steps as a GPU takes them wait for nothing: counted on the CPU, through Triton's interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("waits_cases.py")


@pytest.mark.timeout(900)
def test_a_step_on_a_gpu_waits_for_nothing():
    """The cases of waits_cases.py: Triton decides at its import whether it interprets, hence a process of their own."""
    pytest.importorskip("triton")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=800", str(CASES)]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=CASES.parents[4])
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout
