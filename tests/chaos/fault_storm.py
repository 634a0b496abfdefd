"""Every system call of a run that touches its folder, made to fail, one after the other: SQLite's way of testing.

A small evaluation, in text and CIPHER on the mock, is played once to count its calls (open, read, write, fsync, rename, unlink,
mkdir, …; tests/chaos/faults.c). Then it is played again for each call and each fault that the call can meet: an error, half of a
write, a full disk until the end, SIGKILL before, in and after it. The same command without a fault follows, and what there is
then has to be what an undisturbed run has, byte for byte; what was in the journal has to be there still.

python tests/chaos/fault_storm.py --state faults.jsonl          goes on where it was stopped
python tests/chaos/fault_storm.py --share 40                    every fortieth case alone
python tests/chaos/fault_storm.py --kills 1000 --state faults.jsonl   kills alone, until there are so many
"""

import argparse
import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from chaos.storm import problems

from agents.errors import RunError
from debate.run_folder.journal import JournalReader

SOURCE = Path(__file__).with_name("faults.c")
PATIENCE_S = 900
# What a run takes its time to import.
IMPORTED = {
    *("agents", "debate", "evals", "kernels", "pandas", "pyarrow", "scipy", "statsmodels", "structlog", "rich"),
    *("torch", "transformers", "networkx", "patsy", "numpy", "math_verify", "sympy"),
}
# As faults.c counts them.
ERROR, KILL_BEFORE, KILL_AFTER, SHORT, TORN = range(1, 6)


@dataclass(frozen=True)
class Fault:
    """What a call meets: an error number, or another fault; `lasting`: every later call meets it too."""

    kind: int
    error: str = ""
    lasting: bool = False

    @property
    def name(self) -> str:
        """Its name, e.g. `ENOSPC from there on`."""
        names = {KILL_BEFORE: "kill before", KILL_AFTER: "kill after", SHORT: "short", TORN: "kill within"}
        return (self.error + " from there on" * self.lasting) if self.kind == ERROR else names[self.kind]

    @property
    def kills(self) -> bool:
        """Whether the process ends there."""
        return self.kind in (KILL_BEFORE, KILL_AFTER, TORN)


FAULTS = {
    "r": [Fault(ERROR, "EIO")],
    "w": [Fault(ERROR, "EIO"), Fault(ERROR, "EROFS", lasting=True), Fault(KILL_BEFORE), Fault(KILL_AFTER)],
    "l": [Fault(ERROR, "ENOLCK"), Fault(KILL_BEFORE), Fault(KILL_AFTER)],
    "s": [Fault(ERROR, "ENOSPC"), Fault(ERROR, "ENOSPC", lasting=True), Fault(KILL_BEFORE), Fault(KILL_AFTER)],
}
OF_CALL = {
    "write": [Fault(ERROR, "EIO"), Fault(SHORT), Fault(TORN)],
    "fsync": [Fault(ERROR, "EIO")],
    "open": [Fault(ERROR, "EIO", lasting=True)],
}
# The table of turns is written in a hundred pieces, one like the other.
THINNED, KEEP_EVERY = "turns.parquet", 20


@dataclass(frozen=True)
class Call:
    """A call of the undisturbed run: its number, name, kind (`r`eads, takes `s`pace, `w`rites otherwise, `l`ocks), and path."""

    number: int
    name: str
    kind: str
    path: str


@dataclass(frozen=True)
class Scenario:
    """What the folder holds when a run is begun with a fault, and what is asked besides."""

    name: str
    more: tuple[str, ...] = ()

    def command(self, out: Path) -> list[str]:
        """Return the arguments of `debate`."""
        changes = ["rounds=2", "max_tokens=12"]
        settings = [part for change in changes for part in ("--set", change)]
        return ["eval", "smoke", "--limit", "1", "--methods", "text,cipher", "--out", str(out), *settings, *self.more]


SCENARIOS = (
    Scenario("begun", ("--set", "execution.fsync=always")),
    Scenario("torn", ("--set", "execution.fsync=everysec")),
    Scenario("overwritten", ("--set", "execution.fsync=no", "--overwrite")),
)


class Storm:
    """Plays cases in forks of this process, in which everything is imported already.

    Args:
        folder: for runs, states and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shim = ctypes.CDLL(None)
        self._shim.fault_arm.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, *[ctypes.c_int] * 3]
        self._log, self._words = folder / "calls", folder / "words"
        self.undisturbed = folder / "undisturbed"
        self._import_all()
        self._run(SCENARIOS[0].command(self.undisturbed))

    def _import_all(self) -> None:
        """Import what a run imports, and let it compile what it compiles."""
        named = self.folder / "modules"
        first = self.folder / "first"
        self._run(SCENARIOS[0].command(first), modules=named)
        for name in named.read_text().split():
            if name.partition(".")[0] in IMPORTED:
                with contextlib.suppress(Exception):
                    import_module(name)
        # Pictures take most of the time, and are pieces of one file.
        import evals.analysis.plots

        evals.analysis.plots.figures = lambda *given: {}
        shutil.rmtree(first)

    def calls(self, scenario: Scenario) -> list[Call]:
        """Return the calls of a run without a fault."""
        out = self.prepared(scenario)
        self._run(scenario.command(out), armed=out)
        found = [line.split(" ", 3) for line in self._log.read_text().splitlines()]
        return [Call(int(number), name, kind, path) for number, name, kind, path in found]

    def prepared(self, scenario: Scenario) -> Path:
        """Return the folder of a scenario, as a run finds it."""
        out = self.folder / "disturbed"
        shutil.rmtree(out, ignore_errors=True)
        if scenario.name == "overwritten":
            shutil.copytree(self.undisturbed, out)
        if scenario.name == "torn":
            # Killed in the middle of the second method: a message that no record names, half of one, half of a record.
            kept = self.folder / "torn"
            if not kept.exists():
                records = (self.undisturbed / "journal.log").read_bytes().splitlines(keepends=True)
                turns = [place for place, line in enumerate(records) if b'"kind":"turn","method":"cipher"' in line]
                kept.mkdir()
                (kept / "journal.log").write_bytes(b"".join(records[: turns[1]]) + records[turns[1]][:100])
                shutil.copytree(self.undisturbed / "messages", kept / "messages")
                message = next((kept / "messages").glob("*/*.safetensors"))
                message.with_name(f".{message.name}.part").write_bytes(b"half")
                for name in ("config.yaml", "log.jsonl", "lock"):
                    shutil.copy(self.undisturbed / name, kept)
            shutil.copytree(kept, out)
        return out

    def case(self, scenario: Scenario, call: Call, fault: Fault) -> list[str]:
        """Play one case, and return what is wrong."""
        out = self.prepared(scenario)
        number = getattr(errno, fault.error, 0)
        status, words = self._run(
            scenario.command(out),
            armed=out,
            fault=(call.number, fault.kind, number, int(fault.lasting)),
            check=False,
        )
        wrong = []
        if status != (-signal.SIGKILL if fault.kills else 0) and (status != 2 or "debate: " not in words):
            wrong.append(f"ended with {status}: {words[-300:]}")
        if "Traceback" in words or "Exception ignored" in words:
            wrong.append(f"a traceback: {words[-600:]}")
        before = self._records(out)
        status, words = self._run(scenario.command(out), check=False)
        if status != 0:
            return [*wrong, f"cannot be continued ({status}): {words[-300:]}"]
        if scenario.name != "overwritten" and not self._records(out).startswith(before):
            wrong.append("records of the journal are lost")
        wrong += problems(out, self.undisturbed, configs=False)
        ours, theirs = _files(out), _files(self.undisturbed)
        wrong += [f"{name} is left over" for name in ours - theirs] + [f"{name} is missing" for name in theirs - ours]
        return wrong

    def _records(self, out: Path) -> bytes:
        """Return the whole records of a run's journal, none if there is none."""
        path = out / "journal.log"
        if not path.exists():
            return b""
        reader = JournalReader(path)
        try:
            list(reader)
        except RunError as error:
            return str(error).encode()
        return path.read_bytes()[: reader.end]

    def _run(
        self,
        command: list[str],
        *,
        armed: Path | None = None,
        fault: tuple[int, int, int, int] = (0, 0, 0, 0),
        check: bool = True,
        modules: Path | None = None,
    ) -> tuple[int, str]:
        """Play a command in a fork of this process; return its status, negative of a signal, and its words."""
        self._log.unlink(missing_ok=True)
        self._words.write_text("")
        child = os.fork()
        if child == 0:
            self._be_debate(command, armed, fault, modules)
        until = time.monotonic() + PATIENCE_S
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > until:
                os.kill(child, signal.SIGABRT)
                until += PATIENCE_S
            time.sleep(0.01)
        status, words = os.waitstatus_to_exitcode(ended[1]), self._words.read_text(errors="replace")
        if check and status:
            raise SystemExit(f"an undisturbed run ended with {status}: {words}")
        return status, words

    def _be_debate(
        self, command: list[str], armed: Path | None, fault: tuple[int, int, int, int], modules: Path | None
    ) -> None:
        from debate.cli.app import main as debate_main

        status = 1
        try:
            words = os.open(self._words, os.O_WRONLY | os.O_APPEND)
            for standard in (1, 2):
                os.dup2(words, standard)
            sys.argv = ["debate", *command]
            if armed is not None:
                self._shim.fault_arm(str(armed).encode(), str(self._log).encode(), *fault)
            try:
                debate_main()
                status = 0
            except SystemExit as error:
                status = error.code if isinstance(error.code, int) else int(error.code is not None)
            except BaseException:
                import traceback

                traceback.print_exc()
            if modules is not None:
                modules.write_text("\n".join(sorted(sys.modules)))
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _files(out: Path) -> set[str]:
    """Return the files of a run; the time in the names of some does not count."""
    return {re.sub(r"_2\d{3}-[\dT.\-]+", "", str(path.relative_to(out))) for path in out.rglob("*") if path.is_file()}


def cases(scenario: Scenario, calls: list[Call]) -> Iterator[tuple[str, Scenario, Call, Fault]]:
    """Yield each call of a scenario with each fault that it can meet, and a name for the pair."""
    thinned = [call for call in calls if THINNED in call.path and call.name == "write"]
    passed = set(thinned) - set(thinned[::KEEP_EVERY])
    for call in calls:
        for fault in [*FAULTS[call.kind], *OF_CALL.get(call.name, [])]:
            if call not in passed:
                yield f"{scenario.name} {call.number} {call.name} {call.path} {fault.name}", scenario, call, fault


def storm(
    folder: Path, state: Path | None, *, share: int, seconds: float, kills: int | None = None
) -> tuple[Counter[str], list[str]]:
    """Play the cases that are not in the state yet; return how many there were by kind, in all sittings, and what was wrong.

    Given a number of kills, other faults are left for another sitting, and it ends when there are so many.
    """
    storm = Storm(folder)
    done: dict[str, list[str]] = {}
    if state is not None and state.exists():
        done = {entry["case"]: entry["wrong"] for entry in map(json.loads, state.read_text().splitlines())}
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    found = [case for scenario in SCENARIOS for case in cases(scenario, storm.calls(scenario))]
    # Getting ready is not counted.
    until = time.monotonic() + seconds
    # Shuffled, the same in every sitting: whatever was played when it is stopped is of every kind.
    found.sort(key=lambda case: hashlib.sha256(case[0].encode()).digest())
    for name, scenario, call, fault in found[::share]:
        if name not in done:
            if time.monotonic() > until or (kills is not None and counts["kills"] >= kills):
                break
            if kills is not None and not fault.kills:
                continue
            done[name] = storm.case(scenario, call, fault)
            if state is not None:
                with state.open("a") as file:
                    file.write(json.dumps({"case": name, "wrong": done[name]}) + "\n")
            for problem in done[name]:
                print(f"  {name}: {problem}", flush=True)
        counts["kills" if fault.kills else "errors"] += 1
        counts[f"{call.name}: {fault.name}"] += 1
        wrong += [f"{name}: {problem}" for problem in done[name]]
    print(f"{sum(counts[kind] for kind in ('kills', 'errors'))} of {len(found)} cases")
    return counts, wrong


def build(folder: Path) -> Path:
    """Compile what makes calls fail, and return the library."""
    library = folder / "faults.so"
    subprocess.run(["gcc", "-O1", "-Wall", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl", "-lpthread"], check=True)
    return library


def main() -> None:
    """Play all cases, or a share of them, and say what came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path)
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--kills", type=int)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if "faults.so" not in os.environ.get("LD_PRELOAD", ""):
            environment = {**os.environ, "LD_PRELOAD": str(build(Path(folder))), "OMP_NUM_THREADS": "1"}
            sys.exit(subprocess.run([sys.executable, *sys.argv], env=environment).returncode)
        began = time.monotonic()
        counts, wrong = storm(Path(folder), asked.state, share=asked.share, seconds=asked.seconds, kills=asked.kills)
    for kind, count in sorted(counts.items()):
        if ":" in kind:
            print(f"  {count:5d} {kind}")
    print(
        f"{counts['kills']} kills and {counts['errors']} other faults, {time.monotonic() - began:.0f} s, {len(wrong)} problems",
        *wrong[:20],
        sep="\n  ",
        flush=True,
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
