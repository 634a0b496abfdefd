"""A run's report for the viewer: in this process, or in one of its own.

Statistics import scipy, statsmodels and pandas, 300 MB that would stay in the memory of a server that needs them once a run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from agents.errors import DebateError
from evals.analysis.blocks import Block, note


def report_of(run: Path) -> list[Block]:
    """Return a run's report of the debates that have ended, as blocks, or a block that says why there is none."""
    try:
        from evals.analysis.report import run_blocks
        from evals.analysis.run_record import read_run
        from evals.analysis.summary import analyse

        return run_blocks(analyse(read_run(run)))
    except DebateError as error:
        return [note(f"No report yet: {error}")]


def report_apart(run: Path) -> list[Block]:
    """Return the same, made in a process that ends with it."""
    # It finds what this one does: tasks of a user's own too.
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-m", __name__, str(run)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONPATH": paths}, check=False)
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return [note(f"No report: the process that makes it ended with {done.returncode}. {last}")]
    found: list[Block] = json.loads(done.stdout)
    return found


def main() -> None:
    """Write the report of the run that is named on the command line to standard output, as JSON."""
    # What libraries print is not part of it.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    json.dump(report_of(Path(sys.argv[1])), answer)
    answer.close()


if __name__ == "__main__":
    main()
