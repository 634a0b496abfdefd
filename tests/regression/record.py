"""Record again what the regression runs come to: `python tests/regression/record.py [CASE …]`, all by default.

    --keep FOLDER   leave the run folders there, to compare those of two versions with diff
    --old-run       also write old_run/, the interrupted run of an earlier version, anew; only when its format is given up

What is recorded is what the code does now. Record on the version that is right, and look at the diff before committing it.
"""

import argparse
import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from regression.cases import CASES, RAY
from regression.outcome import dumped
from regression.player import HERE, OLD_RUN, RECORDED, machine, play, play_old_run, record, workplace

from debate import load_config
from debate.runtime.observer import Observer
from evals import Selection, evaluate

TORN = b'0a1b2c3d {"kind":"turn","method":"cipher","question":"arithm'


class Interrupting(Observer):
    """Watches a run and interrupts it, as Ctrl-C does, after so many turns."""

    def __init__(self, turns: int) -> None:
        self.turns = turns

    def turn_said(self, question, turn):
        self.turns -= 1
        if self.turns == 0:
            asyncio.current_task().cancel()
            raise asyncio.CancelledError


def write_old_run(folder: Path) -> None:
    """Write a run of two methods over four questions, interrupted in the second, with a torn tail."""
    import socket

    socket.gethostname = lambda: "elsewhere"
    shutil.rmtree(HERE / "old_run", ignore_errors=True)
    with contextlib.chdir(workplace(folder)), contextlib.suppress(asyncio.CancelledError):
        config = load_config(Path("old_run.yaml"))
        asyncio.run(evaluate(config, out=Path("old_run"), selection=Selection(limit=4), observer=Interrupting(16 + 6)))
    with (folder / "old_run" / "journal.log").open("ab") as file:
        file.write(TORN)
    shutil.copytree(folder / "old_run", HERE / "old_run")


def debate(*arguments: str) -> None:
    """Run the command."""
    subprocess.run([sys.executable, "-m", "debate", *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="names, or their beginnings")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--old-run", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    everything = {**CASES, "ray": RAY}
    chosen = [name for name in everything if not given.cases or name.startswith(tuple(given.cases))]
    with tempfile.TemporaryDirectory() as made:
        root = Path(given.keep or made).resolve()
        outcomes = {}
        for name in chosen:
            outcomes[name] = play(everything[name], root / name.replace(" ", "-"))
            print(f"{name}: {len(outcomes[name])} lines")
        if given.old_run:
            write_old_run(root / "old")
        if given.old_run or not given.cases or "old run".startswith(tuple(given.cases)):
            outcomes |= play_old_run(root / "old-run", debate)
    RECORDED.mkdir(exist_ok=True)
    record(outcomes, {*everything, *OLD_RUN})
    (RECORDED / "machine.json").write_text(dumped(machine()) + "\n")


if __name__ == "__main__":
    main()
