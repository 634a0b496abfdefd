"""A killer among processes: a real evaluation on Ray whose driver, runners and engines end with SIGKILL at random moments.

python tests/chaos/ray_storm.py --kills 20 --seed 0
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chaos.storm import command as evaluation
from chaos.storm import problems, size

PATIENCE_S = 120
# How the processes are called, by kind.
ACTORS = {"engine": "ray::EngineActor", "runner": "ray::RunnerActor"}
TESTS = Path(__file__).parents[1]


def command(out, limit, *, runtime):
    """Return the command of an evaluation, in text and CIPHER, whose engines take a moment for each answer."""
    changes = [
        "backend=support.mortal_backend:MortalBackend",
        f"options={{folder: {out.parent}, nap_s: 0.05}}",
        # Whoever happens to be alone with an engine when it is killed is not to blame.
        "execution.tries=1000",
    ]
    if runtime == "ray":
        changes += [
            "execution.runtime=ray",
            "execution.engines.default={replicas: 2, num_cpus: 0}",
            "execution.runners=2",
        ]
    settings = [part for change in changes for part in ("--set", change)]
    return [*evaluation(out, limit), *settings]


def descendants(pid):
    """Return process → command line of everything that a process started."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, left = {}, [pid]
    while left:
        parent = left.pop()
        for child in [one for one, its in parents.items() if its == parent]:
            left.append(child)
            try:
                found[child] = (Path("/proc") / str(child) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
    return found


def is_running(pid):
    """Whether a process is there and not a mere entry that nobody asked after."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def leftovers(pids, patience_s=120.0):
    """Return those of the processes that are still there after a while: two of Ray's own take up to a minute to notice."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until and any(map(is_running, pids)):
        time.sleep(0.2)
    return [pid for pid in pids if is_running(pid)]


def start(out, limit):
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen(
        command(out, limit, runtime="ray"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )


def ray_storm(folder, *, kills, limit, seed, driver_share=0.3):
    """Kill drivers, runners and engines of a run so often, finish it, and return how often what was killed, and what is wrong."""
    draw, pauses = random.Random(f"ray|{seed}"), random.Random(f"pauses|{seed}")
    # Drawn beforehand, as how often is waited depends on the machine; every kind is among them.
    victims = ["driver" if draw.random() < driver_share else draw.choice(list(ACTORS)) for _ in range(kills)]
    for place, kind in enumerate(kind for kind in ("driver", *ACTORS) if kind not in victims):
        victims[-1 - place] = kind
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    whole, out = folder / "undisturbed", folder / "disturbed"
    subprocess.run(command(whole, limit, runtime="local"), check=True, capture_output=True, env=environment)
    segments = set(os.listdir("/dev/shm"))
    killed = dict.fromkeys(("driver", *ACTORS), 0)
    orphans, wrong = {}, []
    process = start(out, limit)
    while sum(killed.values()) < kills:
        before, grown = size(out), draw.randrange(1, 40_000)
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None and size(out) < before + grown and time.monotonic() < deadline:
            time.sleep(pauses.uniform(0.0, 0.05))
        if process.poll() is not None:
            break
        children = descendants(process.pid)
        kind = victims[sum(killed.values())]
        actors = [pid for pid, line in children.items() if line.startswith(ACTORS.get(kind, "none"))]
        if kind == "driver":
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed["driver"] += 1
            orphans |= children
            process = start(out, limit)
        elif actors:
            victim = draw.choice(actors)
            if is_running(victim):
                os.kill(victim, signal.SIGKILL)
                killed[kind] += 1
    process.wait()
    if process.returncode:
        wrong.append(f"the run ended with {process.returncode}")
    finish = start(out, limit)
    while finish.poll() is None:
        orphans |= descendants(finish.pid)
        time.sleep(0.5)
    wrong += [f"process {pid} is left over: {orphans[pid]}" for pid in leftovers(orphans)]
    wrong += [f"/dev/shm/{name} is left over" for name in set(os.listdir("/dev/shm")) - segments]
    # How it was executed is in the config, and was not the same.
    wrong += [found for found in problems(out, whole) if "config.yaml differs" not in found]
    return killed, wrong


def main():
    """Run one storm, and say what came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--limit", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        killed, wrong = ray_storm(Path(folder), kills=asked.kills, limit=asked.limit, seed=asked.seed)
    print(
        f"killed {killed}, {time.monotonic() - began:.0f} s, {len(wrong)} problems", *wrong[:20], sep="\n  ", flush=True
    )
    sys.exit(bool(wrong) or sum(killed.values()) < asked.kills)


if __name__ == "__main__":
    main()
