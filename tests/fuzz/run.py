"""The fuzzer: inputs drawn from seeds, changed, and given to every reader of what comes from elsewhere.

    PYTHONPATH=tests python tests/fuzz/run.py --inputs 1000000 --seed 0
    PYTHONPATH=tests python tests/fuzz/run.py --only journals --inputs 20000 --seed 7
    PYTHONPATH=tests python tests/fuzz/run.py --only journals --input FILE

An input is found if its reader raises anything but the errors that it documents, breaks a promise (an AssertionError), takes
more than a second of processor time, or if memory rises by more than 64 MiB after the first fifth of a target's inputs. Each
finding is written to `STATE/findings/TARGET-HASH` and belongs into tests/fuzz/corpus/TARGET once it is mended. Counts go to
`STATE/report.json`, batch by batch: a run that was stopped goes on where it was. A batch of a target depends on the seed, its
number and the corpus alone.
"""

import argparse
import gc
import hashlib
import json
import os
import random
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz.files import Journals, Messages, Questions, Responses, RunFolders, Tables
from fuzz.models import Answers, Checkpoints, ModelFolders, Servers, Templates, WordVectorFiles
from fuzz.mutation import mutate
from fuzz.pictures import Pictures
from fuzz.serving import Bodies
from fuzz.settings import Configs, Overrides, PromptFiles, Topologies, Yaml
from fuzz.target import Target

TARGETS: tuple[type[Target], ...] = (
    Messages,
    Journals,
    RunFolders,
    Questions,
    Tables,
    Responses,
    Configs,
    Yaml,
    Overrides,
    Topologies,
    PromptFiles,
    Answers,
    Servers,
    Templates,
    Checkpoints,
    ModelFolders,
    Pictures,
    WordVectorFiles,
    Bodies,
)
BATCH = 500
LONGEST_S = 1.0
# Beyond this the input is not waited for.
HANG_S = 20
LARGEST_RISE = 64 << 20
STATE = Path(__file__).resolve().parents[2] / "runs" / "fuzz"


@dataclass
class Tally:
    """What became of a target's inputs.

    Attributes:
        inputs, taken, refused: how many, and by a documented error.
        batches: done.
        slowest_s: processor seconds of the slowest.
        cpu_s: of all.
        rise_bytes: of memory after the first fifth.
        findings: what was raised → the file.
    """

    inputs: int = 0
    taken: int = 0
    refused: int = 0
    batches: int = 0
    slowest_s: float = 0.0
    cpu_s: float = 0.0
    rise_bytes: int = 0
    findings: dict[str, str] = field(default_factory=dict)


def batch(target: Target, seed: int, number: int, corpus: list[bytes], size: int = BATCH) -> Iterator[bytes]:
    """Yield the inputs of a batch; the first of all are the corpus as it is."""
    chance = random.Random(f"{seed}|{target.name}|{number}")
    if number == 0:
        yield from corpus[:size]
        size -= min(size, len(corpus))
    for _ in range(size):
        blob, other = chance.choice(corpus), chance.choice(corpus)
        if target.changes and chance.random() < 0.5:
            try:
                blob = chance.choice(target.changes)(blob, chance)
            except Exception:  # an input that is no sound one any more is changed by its bytes
                blob = mutate(blob, other, chance, target.pieces)
            if chance.random() < 0.8:
                yield blob
                continue
        yield mutate(blob, other, chance, target.pieces)


def try_input(target: Target, blob: bytes, tally: Tally) -> str | None:
    """Give an input to a target; return what is wrong with what became of it, or None."""
    began = time.thread_time()
    wrong = None
    try:
        with _no_hang():
            target.read(blob)
        tally.taken += 1
    except target.documented:
        tally.refused += 1
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tests/" not in frame.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        wrong = f"{type(error).__name__} at {where}: {error}"[:300]
    took = time.thread_time() - began
    if took > LONGEST_S:
        # The better of two: what else the machine does at one moment is no cost of an input.
        began = time.thread_time()
        with suppress(*target.documented, Exception), _no_hang():
            target.read(blob)
        took = min(took, time.thread_time() - began)
    tally.inputs += 1
    tally.cpu_s += took
    tally.slowest_s = max(tally.slowest_s, took)
    if wrong is None and took > LONGEST_S:
        wrong = f"{took:.1f} s of processor time"
    return wrong


@contextmanager
def _no_hang() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TimeoutError(f"still at work after {HANG_S} s of processor time")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def held_bytes() -> int:
    """Return the memory that this process holds, swapped out or not."""
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(rows[name].split()[0]) for name in ("RssAnon", "VmSwap")) << 10


def fuzz(target: Target, seed: int, first: int, batches: int, tally: Tally, findings: Path) -> None:
    """Try batches of a target."""
    corpus = target.corpus()
    if first == 0:
        # What is imported and looked up once is no cost of an input.
        for blob in target.seeds():
            with suppress(Exception):
                target.read(blob)
    settled, after = None, first + max(1, batches // 5)
    for number in range(first, first + batches):
        if number == after:
            gc.collect()
            settled = held_bytes()
        for blob in batch(target, seed, number, corpus):
            wrong = try_input(target, blob, tally)
            # One of a kind is enough.
            if wrong is not None and (kind := wrong.partition(": ")[0]) not in tally.findings:
                findings.mkdir(parents=True, exist_ok=True)
                path = findings / f"{target.name}-{hashlib.sha256(blob).hexdigest()[:12]}"
                path.write_bytes(blob)
                tally.findings[kind] = path.name
                print(f"{target.name}: {wrong}\n    {path}", flush=True)
        tally.batches += 1
    gc.collect()
    if settled is not None:
        tally.rise_bytes = max(tally.rise_bytes, held_bytes() - settled)
        if tally.rise_bytes > LARGEST_RISE:
            tally.findings["memory"] = f"{tally.rise_bytes >> 20} MiB"


def shares(inputs: int, targets: list[type[Target]]) -> dict[str, int]:
    """Return the batches of each target."""
    whole = sum(target.share for target in targets)
    return {target.name: max(1, round(inputs * target.share / whole / BATCH)) for target in targets}


def main() -> None:
    parser = argparse.ArgumentParser(description="give changed inputs to every reader of what comes from elsewhere")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[target.name for target in TARGETS])
    parser.add_argument("--input", type=Path, help="try this one file")
    parser.add_argument("--state", type=Path, default=STATE)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    targets = [target for target in TARGETS if given.only in (None, target.name)]
    report = given.state / "report.json"
    key = f"seed {given.seed}"
    known: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    tallies = {name: Tally(**row) for name, row in known.get(key, {}).items()}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CIPHER_DEBATE_HOME"] = f"{folder}/home"
        os.environ["HF_HUB_OFFLINE"] = "1"
        for kind in targets:
            scratch = Path(folder, kind.name)
            scratch.mkdir()
            target = kind(scratch)
            if given.input:
                target.read(given.input.read_bytes())
                continue
            wanted = shares(given.inputs, targets)[kind.name]
            tally = tallies.setdefault(kind.name, Tally())
            while tally.batches < wanted:
                fuzz(
                    target, given.seed, tally.batches, min(50, wanted - tally.batches), tally, given.state / "findings"
                )
                given.state.mkdir(parents=True, exist_ok=True)
                report.write_text(
                    json.dumps({**known, key: {name: vars(one) for name, one in tallies.items()}}, indent=1)
                )
    print(table(tallies))
    if any(tally.findings for tally in tallies.values()):
        raise SystemExit(1)


def table(tallies: dict[str, Tally]) -> str:
    """Return counts by target."""
    lines = [
        "| target | inputs | taken | refused | slowest, ms | memory, MiB | found |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in tallies.items():
        figures = f"{1000 * row.slowest_s:.0f} | {row.rise_bytes / (1 << 20):+.0f} | {len(row.findings)}"
        lines.append(f"| {name} | {row.inputs:,} | {row.taken:,} | {row.refused:,} | {figures} |")
    lines.append(f"| all | {sum(row.inputs for row in tallies.values()):,} | | | | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
