"""Runs the tests as two pytest processes side by side: `python tests/support/side_by_side.py [PYTEST ARGUMENTS…]`.

The second part is the rooms named here; the first is all the others, so that no test is in neither. Each line is passed on as it
comes with the number of its part; the exit code is that of the first part that failed.
"""

import os
import subprocess
import sys
import threading

# What starts engines and browsers, and takes about half of the time.
SECOND = ("tests/agents", "tests/evals")


def commands(arguments: list[str]) -> list[list[str]]:
    """Return the command of each part."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    return [[*pytest, *(f"--ignore={room}" for room in SECOND)], [*pytest, *SECOND]]


def pass_on(part: int, process: subprocess.Popen[str]) -> None:
    """Print what a part prints, each line with its number."""
    assert process.stdout is not None
    for line in process.stdout:
        print(f"{part} | {line}", end="", flush=True)


def main() -> int:
    """Run the parts, and return the exit code."""
    # Ray's workers, which it makes give way to others, count as much as these; where there is no more than a core for each
    # part, each has one thread.
    settings = {"RAY_worker_niceness": "0", **({"OMP_NUM_THREADS": "1"} if (os.cpu_count() or 1) <= 2 else {})}
    processes = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | settings
        )
        for command in commands(sys.argv[1:])
    ]
    readers = [threading.Thread(target=pass_on, args=part) for part in enumerate(processes, 1)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return next((code for code in [process.wait() for process in processes] if code), 0)


if __name__ == "__main__":
    sys.exit(main())
