"""A killer: ends a real evaluation with SIGKILL again and again, goes on until it is done, and compares with an undisturbed one.

python tests/chaos/storm.py --kills 100 --seed 0
python tests/chaos/storm.py --model smollm2 --kills 10 --limit 4
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from debate.run_folder.journal import JournalReader
from debate.run_folder.lock import is_being_written

PATIENCE_S = 120
MOCK = "mock"


def command(out: Path, limit: int, model: str = MOCK) -> list[str]:
    """Return the command of an evaluation in text and CIPHER, on the mock or on a model of the transformers backend."""
    evaluation = [sys.executable, "-m", "debate", "eval", "smoke", "--limit", str(limit), "--out", str(out)]
    if model == MOCK:
        return evaluation
    return [*evaluation, "--model", model, "--set", "backend=transformers", "--set", "max_tokens=12"]


def kill_once(out: Path, limit: int, draw: random.Random, model: str = MOCK) -> bool:
    """Start or continue the run and kill it at a random moment; return whether it was killed before it ended."""
    before = size(out)
    process = subprocess.Popen(command(out, limit, model), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # One kill in five while it starts or reads its journal, the others while it works: a model is not as quick as the mock.
    grown = None if draw.random() < 0.2 else draw.randrange(1, 60_000 if model == MOCK else 6_000)
    deadline = time.monotonic() + (draw.uniform(0.0, 4.0 if model == MOCK else 20.0) if grown is None else PATIENCE_S)
    while process.poll() is None and time.monotonic() < deadline:
        if grown is not None and size(out) > before + grown:
            break
        time.sleep(draw.uniform(0.0, 0.01))
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True


def size(out: Path) -> int:
    """Return the bytes of a run's journal."""
    journal = out / "journal.log"
    return journal.stat().st_size if journal.exists() else 0


def outcome(out: Path, *, configs: bool = True) -> dict[str, object]:
    """Return what a run comes to, without times, and without its config where that is not to be the same."""
    found: dict[str, object] = {}
    names = {"transcript.jsonl", *(["config.yaml"] if configs else [])}
    for path in sorted(out.rglob("*")):
        if path.name in names or path.suffix == ".safetensors":
            found[str(path.relative_to(out))] = path.read_bytes()
    results = json.loads((out / "results.json").read_text())
    for row in results["methods"].values():
        del row["seconds"], row["cached_tokens"]
    return {**found, "results": results}


def problems(out: Path, undisturbed: Path, *, configs: bool = True) -> list[str]:
    """Return what is wrong with a run that was killed and continued; nothing, if all is well. See `outcome`."""
    found = []
    one, other = outcome(out, configs=configs), outcome(undisturbed, configs=configs)
    found += [f"{name} differs" for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    turns: Counter[tuple[str, ...]] = Counter()
    named = set()
    for entry in JournalReader(out / "journal.log"):
        record = entry.record
        if record["kind"] == "turn":
            turns[record["method"], record["question"], record["agent"], str(record["round"])] += 1
            if record["encoder"] is not None:
                named.add(record["digest"])
    found += [f"{turn} is in the journal {count} times" for turn, count in turns.items() if count > 1]
    messages = {path.stem for path in out.glob("messages/*/*")}
    found += [f"message {digest} is missing" for digest in named - messages]
    found += [f"message {digest} is named by nobody" for digest in messages - named]
    found += [f"{path} is left over" for path in out.rglob("*.part")]
    if is_being_written(out):
        found.append("the lock is still held")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(out).encode() in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                found.append(f"process {process.name} is left over")
        except OSError:
            continue
    return found


def storm(folder: Path, *, kills: int, limit: int, seed: int, model: str = MOCK) -> tuple[int, list[str]]:
    """Kill a run so often, finish it, and return how often it was killed and what is wrong with it."""
    draw = random.Random(f"storm|{seed}")
    subprocess.run(command(folder / "undisturbed", limit, model), check=True, capture_output=True)
    killed = 0
    while killed < kills and kill_once(folder / "disturbed", limit, draw, model):
        killed += 1
    subprocess.run(command(folder / "disturbed", limit, model), check=True, capture_output=True)
    return killed, problems(folder / "disturbed", folder / "undisturbed")


def main() -> None:
    """Run storms until there were so many kills, and say what came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default=MOCK)
    asked = parser.parse_args()
    killed, storms, start = 0, 0, time.monotonic()
    while killed < asked.kills:
        with tempfile.TemporaryDirectory() as folder:
            left, seed = asked.kills - killed, asked.seed + storms
            count, wrong = storm(Path(folder), kills=left, limit=asked.limit, seed=seed, model=asked.model)
        killed, storms = killed + count, storms + 1
        print(f"storm {storms}: {count} kills, {len(wrong)} problems", *wrong[:20], sep="\n  ", flush=True)
        if wrong:
            sys.exit(1)
    print(f"{killed} kills in {storms} storms, {time.monotonic() - start:.0f} s: all equal to undisturbed runs")


if __name__ == "__main__":
    main()
