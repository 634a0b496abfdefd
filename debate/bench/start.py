"""`debate bench start`: where the time goes from a command line to the end of the first turn, with vLLM.

`debate speak` is run as a user would, in a process of its own. That process and vLLM's worker write down what they begin
(agents/backends/vllm/stages.py); a stage lasts until the next one begins, in whichever process. CPU time is that of the process
which begins the next stage, since its own last mark: of a process that had none yet, its imports with it. What other processes
took meanwhile, vLLM's engine above all, is in the total alone.
"""

import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from agents.atomic_file import write_json
from agents.backends.vllm.stages import CLOSING, SPEAKING, VARIABLE, Stage, read
from agents.errors import BackendFailed
from agents.pretrained import Progress

GOAL_S = 45.0
COMMAND = "starting Python, and the command's imports"
PROMPT = "Name a colour."
# Where compiled code is kept, by torch and by vLLM.
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "VLLM_CACHE_ROOT")


@dataclass(frozen=True)
class Start:
    """One start, with a turn and the end of the engine.

    Attributes:
        began: when the command was given, in seconds since the epoch.
        stages: what was begun, in order.
        cpu_s: CPU seconds of all processes until the last had ended.
    """

    began: float
    stages: tuple[Stage, ...]
    cpu_s: float


@dataclass(frozen=True)
class Part:
    """A stage's seconds, and the CPU seconds of the process that began the next."""

    name: str
    seconds: float
    cpu_s: float


def parts(start: Start) -> list[Part]:
    """Return what each stage took, from the command to the end of the first turn.

    Raises:
        BackendFailed: the engine did not come to the end of a turn.
    """
    if [stage.name for stage in start.stages[-2:]] != [SPEAKING, CLOSING]:
        last = start.stages[-1].name if start.stages else COMMAND
        raise BackendFailed(f"the start did not come to its first turn; it got to: {last}")
    found = []
    seen: dict[int, float] = {}
    name, at = COMMAND, start.began
    for stage in start.stages:
        found.append(Part(name, stage.at - at, stage.cpu_s - seen.get(stage.process, 0.0)))
        seen[stage.process] = stage.cpu_s
        name, at = stage.name, stage.at
    return found


def launch(command: Sequence[str], *, cold: bool) -> Start:
    """Run a command that starts an engine, and return when it began what.

    Args:
        command: the program and its arguments.
        cold: with nothing compiled before.

    Raises:
        BackendFailed: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="debate-bench-") as folder:
        file = Path(folder) / "stages"
        environment = {**os.environ, VARIABLE: str(file)}
        if cold:
            environment |= {name: str(Path(folder) / name.lower()) for name in CACHES}
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise BackendFailed(f"the command that starts the engine failed: {said[-1] if said else done.returncode}")
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Start(began, tuple(read(file)), cpu_s)


def bench_start(
    *,
    model: str,
    dtype: str,
    tokens: int,
    rounds: int,
    cold: bool,
    options: Sequence[str],
    out: Path | None,
    console: Console,
    progress: Progress,
    launch: Callable[..., Start] = launch,
) -> dict[str, Any]:
    """Start the engine some times, print the medians, and return the figures.

    Args:
        model: that speaks.
        dtype: of its weights.
        tokens: of the first turn.
        rounds: starts.
        cold: whether what was compiled before is left aside.
        options: of the backend, as the command line takes them.
        out: the figures as JSON.
        console, progress: where the table and the sentences go.
        launch: runs a command.
    """
    command = [sys.executable, "-m", "debate", "speak", "--backend", "vllm", "--model", model, "--dtype", dtype]
    command += [
        "--prompt",
        PROMPT,
        "--max-tokens",
        str(tokens),
        *(word for one in options for word in ("--option", one)),
    ]
    starts = []
    for number in range(1, rounds + 1):
        progress(f"start {number} of {rounds}")
        starts.append(launch(command, cold=cold))
    by_start = [parts(start) for start in starts]
    names = list(dict.fromkeys(part.name for found in by_start for part in found))
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "torch": torch.__version__,
        "model": model,
        "cold": cold,
        "goal_s": GOAL_S,
        "to_first_turn_s": [sum(part.seconds for part in found) for found in by_start],
        "cpu_s": [start.cpu_s for start in starts],
        "stages": [_line(name, by_start) for name in names],
    }
    _show(report, console)
    if out is not None:
        write_json(out, report)
    return report


def _line(name: str, by_start: Sequence[Sequence[Part]]) -> dict[str, Any]:
    """Return the medians of a stage; of one that comes several times in a start, the sums'."""
    own = [[part for part in found if part.name == name] for found in by_start]
    return {
        "name": name,
        "seconds": statistics.median(sum(part.seconds for part in found) for found in own),
        "cpu_s": statistics.median(sum(part.cpu_s for part in found) for found in own),
    }


def _show(report: dict[str, Any], console: Console) -> None:
    told = ("machine", "torch", "model", "cold")
    console.print(", ".join(f"{name} {report[name]}" for name in told), markup=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("stage", "seconds", "CPU seconds"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for line in report["stages"]:
        table.add_row(line["name"], f"{line['seconds']:.1f}", f"{line['cpu_s']:.1f}")
    median, cpu = (statistics.median(report[name]) for name in ("to_first_turn_s", "cpu_s"))
    table.add_row("from the command to the end of the first turn", f"{median:.1f}", "")
    table.add_row("all processes, until the last had ended", "", f"{cpu:.1f}")
    console.print(table, markup=False)
    verdict = "met" if median <= GOAL_S else "missed"
    console.print(f"goal: {GOAL_S:g} s from the command to the end of the first turn: {verdict}", markup=False)
