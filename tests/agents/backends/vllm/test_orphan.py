"""An engine's process ends with the process that started it."""

import os
import signal
import subprocess
import sys
import time

import pytest

# A child of multiprocessing that would sleep for an hour, started by a process that is killed.
PARENT = """
import multiprocessing, time
from agents.backends.vllm.orphan import end_with_parent

def child(ready):
    assert end_with_parent(0.05) is not None
    ready.send(multiprocessing.current_process().pid)
    time.sleep(3600)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    ours, theirs = context.Pipe()
    context.Process(target=child, args=(theirs,)).start()
    # Holds the ends of the first one's pipes where processes are forked.
    context.Process(target=time.sleep, args=(5,)).start()
    print(ours.recv(), flush=True)
    time.sleep(3600)
"""


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_child_whose_parent_is_killed_ends_by_itself(method, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(method=method))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert lives(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 30
        while lives(child) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not lives(child)


def test_a_process_that_has_no_such_parent_is_left_alone():
    found = subprocess.run(
        [sys.executable, "-c", "from agents.backends.vllm.orphan import end_with_parent as e; print(e())"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert found.stdout.strip() == "None"
