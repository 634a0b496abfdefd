"""A share of the faults at each system call that touches a run's folder; `make chaos` has all of them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("gcc") is None, reason="gcc, which compiles what makes system calls fail, is not installed"
)
def test_a_run_survives_faults_of_the_disk_and_kills_at_its_system_calls(tmp_path):
    state = tmp_path / "state.jsonl"
    asked = [sys.executable, str(HERE / "fault_storm.py"), "--share", "300", "--seconds", "40", "--state", str(state)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    played = subprocess.run(asked, capture_output=True, text=True, env=environment)
    assert played.returncode == 0, played.stdout + played.stderr
    kills, others = map(int, re.search(r"(\d+) kills and (\d+) other faults", played.stdout).groups())
    assert kills + others == len(state.read_text().splitlines()) >= 1
