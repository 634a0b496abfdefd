"""Runs the long tests of a file in parts, each in a process of its own, and goes on where it was stopped.

`python tests/support/in_parts.py STATE FILE [-n 12]`: STATE has a line for each test that was run, its outcome and its name;
those that passed are not run again. Remove it to begin anew.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED) (\S+::\S+)")


def pytest(*arguments: str) -> str:
    """Return what pytest prints on the long tests of its arguments."""
    command = [sys.executable, "-m", "pytest", "-m", "long", "-p", "no:cacheprovider", "--timeout=3600", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


def main() -> int:
    """Run what has not passed yet; 0 where all has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("file")
    parser.add_argument("-n", type=int, default=12, help="tests a process")
    given = parser.parse_args()
    tests = [line for line in pytest("--collect-only", "-q", given.file).splitlines() if "::" in line]
    if not tests:
        sys.exit(f"no long tests in {given.file}")
    given.state.parent.mkdir(parents=True, exist_ok=True)
    given.state.touch()
    passed = {line.split()[1] for line in given.state.read_text().splitlines() if line.startswith("PASSED ")}
    left = [test for test in tests if test not in passed]
    print(f"{len(tests) - len(left)} of {len(tests)} have passed before")
    is_well = True
    while left:
        part, left = left[: given.n], left[given.n :]
        said = pytest("-rA", "--tb=short", *part)
        found = dict.fromkeys(part, "LOST")
        found |= {match[2]: match[1] for line in said.splitlines() if (match := OUTCOME.match(line))}
        with given.state.open("a") as state:
            state.writelines(f"{outcome} {test}\n" for test, outcome in found.items())
        bad = [f"{outcome} {test}" for test, outcome in found.items() if outcome not in ("PASSED", "SKIPPED")]
        if bad:
            is_well = False
            print(said)
        print(*bad, f"{len(left)} left", sep="\n", flush=True)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
