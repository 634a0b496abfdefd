"""`debate bench orchestrator`: what is around the engines, measured without a model (agents/backends/simulated.py).

Debates of four agents and three rounds, journal on. Parts:

    throughput   engines that answer at once: turns/s, CPU time a turn by tenth of the run, memory
    resume       the same run opened again: seconds until its next new turn
    idle         engines with rates and a batch limit, answers of very different lengths: share of time without work
"""

import json
import os
import re
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from agents.atomic_file import write_json
from agents.errors import ConfigError
from agents.pretrained import Progress
from agents.question import Question
from debate.build import build_debate
from debate.config.load import validate
from debate.config.schema import DebateConfig
from debate.decision.decision import Poll
from debate.decision.rules import decision_rule
from debate.run_folder.folder import RunFolder
from debate.runtime.backends import Backends
from debate.runtime.batch import play_questions
from debate.runtime.observer import Observer
from debate.transcript import Turn

BACKEND = "agents.backends.simulated:SimulatedBackend"
AGENTS = ("ada", "ben", "cleo", "dan")
ROUNDS = 3
TURNS = len(AGENTS) * ROUNDS
TENTHS = 10
MIB = 1 << 20
# An engine of the idle part: a GPU with a model of some billions of parameters, sixteen sequences at once.
RATES = {"prefill_tokens_per_s": 20_000, "decode_tokens_per_s": 100, "max_num_seqs": 16, "shortest": 4, "longest": 256}
RESUMED = 32
PARTS = ("throughput", "resume", "idle")


@dataclass
class Meter(Observer):
    """Counts turns; notes CPU time, wall time and memory at each tenth.

    Attributes:
        total: turns expected.
        first_turn_at: when the first turn was said, by the clock and in CPU seconds.
        marks: (turns, CPU seconds of this process, seconds, resident bytes), the start first.
    """

    total: int
    marks: list[tuple[int, float, float, int]] = field(default_factory=list)
    turns: int = 0
    first_turn_at: tuple[float, float] = (0.0, 0.0)

    def mark(self) -> None:
        """Note where things are."""
        self.marks.append((self.turns, time.process_time(), time.perf_counter(), resident_bytes()))

    def turn_said(self, question: Question, turn: Turn) -> None:
        """Count a turn."""
        if not self.turns:
            self.first_turn_at = time.perf_counter(), time.process_time()
        self.turns += 1
        if self.turns % max(1, self.total // TENTHS) == 0:
            self.mark()

    def figures(self) -> dict[str, Any]:
        """Return turns/s, CPU milliseconds a turn over all and by tenth, memory at the start and its rise in MiB."""
        first, last = self.marks[0], self.marks[-1]
        turns = last[0] - first[0]
        tenths = [
            1000 * (two[1] - one[1]) / (two[0] - one[0])
            for one, two in zip(self.marks, self.marks[1:], strict=False)
            if two[0] > one[0]
        ]
        return {
            "turns": turns,
            "turns_per_s": turns / (last[2] - first[2]),
            "cpu_ms_per_turn": 1000 * (last[1] - first[1]) / turns,
            "cpu_ms_per_turn_by_tenth": tenths,
            "memory_start_mib": first[3] / MIB,
            "memory_rise_mib": (max(mark[3] for mark in self.marks) - first[3]) / MIB,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


async def bench_orchestrator(
    *,
    debates: int,
    idle_debates: int,
    parts: Sequence[str],
    runtime: str,
    replicas: int,
    in_flight: int,
    fsync: str,
    runners: int = 0,
    ray_address: str | None = None,
    placement: dict[str, Any] | None = None,
    plot: Path | None,
    out: Path | None,
    console: Console,
    progress: Progress,
) -> dict[str, Any]:
    """Measure the parts asked for, print and return the figures.

    Args:
        debates: of the throughput part.
        idle_debates: of the idle part.
        parts: of `throughput`, `resume`, `idle`; `resume` measures `throughput` first.
        runtime, replicas, in_flight, fsync, runners, ray_address: as in a config's `execution`.
        placement: further keys of `execution.engines`.
        plot: a picture of the CPU time a turn by tenth.
        out: the figures as JSON.

    Raises:
        ConfigError: no part, or one that there is not.
    """
    if not parts or set(parts) - set(PARTS):
        raise ConfigError(f"parts {', '.join(parts) or 'none'}: there are {', '.join(PARTS)}")
    execution = {
        "runtime": runtime,
        "ray_address": ray_address,
        "in_flight": in_flight,
        "fsync": fsync,
        "runners": runners,
        "engines": {"default": {"replicas": replicas, "num_cpus": 0, **(placement or {})}} if runtime == "ray" else {},
    }
    report: dict[str, Any] = {
        "runtime": runtime,
        "replicas": replicas,
        "in_flight": in_flight,
        "fsync": fsync,
        "runners": runners,
    }
    with tempfile.TemporaryDirectory(prefix="debate-bench-") as name:
        folder = Path(name)
        if "throughput" in parts or "resume" in parts:
            config = bench_config(execution, {})
            progress(f"throughput: {debates} debates of {len(AGENTS)} agents and {ROUNDS} rounds")
            report["throughput"] = (await _played(config, folder / "run", debates, progress)).figures()
            size = (folder / "run" / "journal.log").stat().st_size
            report["throughput"]["journal_mib"] = size / MIB
        if "resume" in parts:
            progress("resume")
            start, cpu = time.perf_counter(), time.process_time()
            local = config.model_copy(update={"execution": bench_config({}, {}).execution})
            again = await _played(local, folder / "run", debates + RESUMED, progress)
            seconds, spent = again.first_turn_at
            report["resume"] = {"turns": debates * TURNS, "seconds": seconds - start, "cpu_seconds": spent - cpu}
        if "idle" in parts:
            progress(f"idle: {idle_debates} debates, answers of {RATES['shortest']} to {RATES['longest']} tokens")
            config = bench_config(execution, {**RATES, "report": str(folder / "busy")})
            meter = await _played(config, folder / "idle", idle_debates, progress)
            busy = [json.loads(path.read_text()) for path in (folder / "busy").glob("*.json")]
            report["idle"] = {
                "engines": len(busy),
                "seconds": max(one["seconds"] for one in busy),
                "idle": sum(one["idle"] for one in busy) / len(busy),
                "empty_places": sum(one["empty"] for one in busy) / len(busy),
                # Turns end one by one here, so that on Ray hardly two share a call.
                "cpu_ms_per_turn": meter.figures()["cpu_ms_per_turn"],
            }
    _print(report, console)
    if out is not None:
        write_json(out, report)
    if plot is not None and "throughput" in report:
        _plot(report["throughput"]["cpu_ms_per_turn_by_tenth"], plot)
    return report


def bench_config(execution: dict[str, Any], options: dict[str, Any]) -> DebateConfig:
    """Return the debate that is played."""
    raw = {
        "agents": {name: {} for name in AGENTS},
        "backend": BACKEND,
        "model": "simulated",
        "options": options,
        "message": "text",
        "rounds": ROUNDS,
        "max_tokens": 256,
        "execution": execution,
    }
    return validate(raw, source="bench")


def resident_bytes() -> int:
    """Return the memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _played(config: DebateConfig, folder: Path, debates: int, progress: Progress) -> Meter:
    meter = Meter(debates * TURNS)
    backends = Backends(config, progress)
    answer = re.compile(r"Answer: (\d+)")

    def extract(text: str) -> str | None:
        found = answer.search(text)
        return found[1] if found else None

    try:
        debate = build_debate(config, backends, extract=lambda said, _: extract(said))
        rule, electorate = decision_rule(config.decision, backends.decode), config.electorate
        runners = backends.runners()
        if runners is not None:
            await runners.ready()
        with RunFolder(folder, config) as run:
            meter.mark()
            await play_questions(
                debate,
                [Question(f"q{number:06d}", f"What is the result of {number}+2*3+4-5*6?") for number in range(debates)],
                decide=lambda transcript: rule(Poll(transcript, electorate, extract)),
                record=run.method("text"),
                observers=[meter],
                execution=config.execution,
                runners=runners,
            )
            meter.mark()
    finally:
        await backends.close()
    return meter


def _print(report: dict[str, Any], console: Console) -> None:
    facts = ", ".join(f"{key} {value}" for key, value in report.items() if not isinstance(value, dict))
    console.print(facts, markup=False)
    if found := report.get("throughput"):
        tenths = found["cpu_ms_per_turn_by_tenth"]
        console.print(
            f"throughput: {found['turns']} turns, {found['turns_per_s']:.0f} turns/s, {found['cpu_ms_per_turn']:.3f} ms of "
            f"CPU a turn in this process (by tenth {min(tenths):.3f} to {max(tenths):.3f}); memory "
            f"{found['memory_start_mib']:.0f} MiB at the start, +{found['memory_rise_mib']:.0f}; journal "
            f"{found['journal_mib']:.0f} MiB",
            markup=False,
        )
    if found := report.get("resume"):
        console.print(
            f"resume: {found['turns']} turns there, next one after {found['seconds']:.2f} s "
            f"({found['cpu_seconds']:.2f} s of CPU)",
            markup=False,
        )
    if found := report.get("idle"):
        console.print(
            f"idle: {found['engines']} engine(s) over {found['seconds']:.0f} s: {found['idle']:.1%} of the time nothing ran, "
            f"{found['empty_places']:.1%} of the places were empty; {found['cpu_ms_per_turn']:.2f} ms of CPU a turn in this "
            "process",
            markup=False,
        )


def _plot(tenths: Sequence[float], path: Path) -> None:
    from agents.errors import MissingDependency

    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingDependency("--plot", "matplotlib", "viz") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3))
    axes.bar(range(1, len(tenths) + 1), tenths)
    axes.set_xlabel("tenth of the run")
    axes.set_ylabel("ms of CPU a turn")
    axes.set_ylim(bottom=0)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
