"""Runs the tests in parts, two pytest processes at a time: `python tests/support/side_by_side.py [PYTEST ARGUMENTS…]`.

Each line of rooms here is a part; the last part is all the others, so that no test is in none. Whichever process is done takes
the next part. Each line is passed on as it comes with the number of its part; the exit code is that of the first part that
failed.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 2
# Those that take longest first, so that both end at about the same time. The first starts vLLM's engines, the second Ray; what
# tests of one part share is started once.
PARTS = (
    ("tests/agents",),
    ("tests/debate",),
    ("tests/evals",),
    ("tests/kernels",),
    ("tests/chaos", "tests/regression", "tests/weights"),
)


def commands(arguments: list[str]) -> list[list[str]]:
    """Return the command of each part."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    others = [f"--ignore={room}" for rooms in PARTS for room in rooms]
    return [*([*pytest, *rooms] for rooms in PARTS), [*pytest, *others]]


def play(part: int, command: list[str]) -> int:
    """Run a part, print what it prints, each line with its number, and return its exit code."""
    # Ray's workers, which it makes give way to others, count as much as these; where there is no more than a core for each
    # part, each has one thread.
    settings = {"RAY_worker_niceness": "0", **({"OMP_NUM_THREADS": "1"} if (os.cpu_count() or 1) <= AT_ONCE else {})}
    environment = os.environ | settings
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{part} | {line}", end="", flush=True)
    return process.returncode


def main() -> int:
    """Run the parts, and return the exit code."""
    parts = commands(sys.argv[1:])
    with ThreadPoolExecutor(AT_ONCE) as processes:
        playing = [processes.submit(play, part, command) for part, command in enumerate(parts, 1)]
        try:
            codes = [part.result() for part in playing]
        except KeyboardInterrupt:
            # Who is under way has heard it too; nobody begins another.
            processes.shutdown(cancel_futures=True)
            raise
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
