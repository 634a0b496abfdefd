"""Do the tests bite? Puts one small fault after another into the core and runs the tests that reach it.

    PYTHONPATH=tests python tests/mutants/run.py --sample 500 --seed 0
    PYTHONPATH=tests python tests/mutants/run.py --only evals/analysis/stats.py:120

Works on a copy of the project in the state folder, in forks of a process that has collected the tests
(tests/mutants/session.py), or of one that has imported what is heavy alone, where a fault acts at import. A sample is drawn in
equal parts from the parts of the core (tests/mutants/core.py) and mixed, so that a beginning of it is a sample too. Each mutant
runs the tests of its part that reach its line, the quickest first, until one fails; one that takes too long counts as noticed as
well. It goes on where it was stopped: outcomes are lines of `outcomes.jsonl`, keyed by the fault and by what its module says.
Survivors are printed as a table; those in tests/mutants/explained.md, one by one, are counted apart.
"""

import argparse
import compileall
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mutants.core import ASKED_BY, PARTS, ROOT, modules, tests
from mutants.operators import Mutant, mutants
from mutants.session import NOT_EXCHANGED, Session, is_in_function
from mutants.worker import SLOWEST_TEST_S, Baseline, Chosen, in_child, run_tests

EXPLAINED = Path(__file__).with_name("explained.md")
Case = tuple[str, str, Mutant]
HEAVY = [
    "torch",
    "numpy",
    "networkx",
    "pydantic",
    "yaml",
    "jinja2",
    "structlog",
    "typer",
    "rich",
    "safetensors.torch",
    "hypothesis",
    "transformers",
    "sympy",
    "math_verify",
    "scipy.stats",
    "statsmodels.api",
    "matplotlib.pyplot",
    "transformers.models.llama.modeling_llama",
    "transformers.generation",
    "pyarrow.parquet",
]


@dataclass(frozen=True)
class Limit:
    """CPU seconds on the unchanged project: of a test that is asked, and of a mutant's tests together, the quickest first."""

    test_s: float
    together_s: float


def draw(copy: Path, size: int, seed: int) -> list[Case]:
    """Return a mixed sample of (part, module, mutant), as many of each part as of another while it has them."""
    mixer = random.Random(seed)
    piles = []
    for part in PARTS:
        pile = [(part, name, one) for name in modules(part, copy) for one in mutants((copy / name).read_text())]
        mixer.shuffle(pile)
        piles.append(pile)
    chosen: list[Case] = []
    while len(chosen) < size and any(piles):
        for pile in piles:
            if pile and len(chosen) < size:
                chosen.append(pile.pop())
    return chosen


def key(copy: Path, name: str, mutant: Mutant) -> str:
    """Return what stands for a mutant in the list of outcomes: another source makes it another mutant."""
    source = hashlib.sha256((copy / name).read_bytes()).hexdigest()[:16]
    return f"{name}:{source}:{mutant.start}:{mutant.end}:{mutant.after}"


def copy_project(state: Path) -> Path:
    """Make the copy that faults are put into, or bring it up to date; what was compiled of it stays good."""
    copy = state / "copy"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    wanted = {Path(name) for name in names.split("\0") if name and (ROOT / name).is_file()}
    for path in list(copy.rglob("*")) if copy.exists() else []:
        inside = path.relative_to(copy)
        if path.is_file() and inside not in wanted and path.suffix != ".pyc":
            path.unlink()
    for name in wanted:
        ours, theirs = ROOT / name, copy / name
        if not theirs.exists() or _stamp(ours) != _stamp(theirs):
            theirs.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ours, theirs)
    for package in ("agents", "debate", "evals", "kernels"):
        compileall.compile_dir(copy / package, quiet=2)
    return copy


def _stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size


def enter(copy: Path) -> None:
    """Make this process, and what it starts, use the copy."""
    os.chdir(copy)
    paths = [str(copy), str(copy / "tests")]
    sys.path[:0] = paths
    os.environ.update(PYTHONPATH=os.pathsep.join(paths), PYTHONDONTWRITEBYTECODE="1", OMP_NUM_THREADS="1")
    sys.dont_write_bytecode = True
    for name in HEAVY:
        with suppress(ImportError):
            import_module(name)


def baseline(copy: Path, state: Path, parts: set[str]) -> dict[str, Any]:
    """Run the tests of parts once, unless they ran on these sources before; return what each reaches and takes."""
    found: dict[str, Any] = {"seconds": {}, "left_out": {}, "lines": {}, "at_import": {}}
    for part in sorted(parts):
        names = modules(part, copy)
        files = [path for test in tests(part) for path in sorted(_files(copy / test))]
        stamp = hashlib.sha256(
            b"".join((copy / name).read_bytes() for name in names) + b"".join(p.read_bytes() for p in files)
        )
        out = state / f"baseline-{part}-{stamp.hexdigest()[:12]}.json"
        if not out.exists():
            print(f"{part}: running its tests on the project as it is", flush=True)

            def job(names: list[str] = names, part: str = part, out: Path = out) -> int:
                sys.dont_write_bytecode = False
                plugin = Baseline([copy / name for name in names], out)
                plugin.coverage.start()
                return run_tests(list(tests(part)), plugin)

            code, took = in_child(job, state / f"baseline-{part}.log", cpu_s=1200, wall_s=3600)
            if not out.exists():
                raise SystemExit(f"the tests of {part} did not end ({code}); see {state / f'baseline-{part}.log'}")
            print(f"{part}: {took:.0f} s", flush=True)
        one = json.loads(out.read_text())
        found["seconds"][part] = one["seconds"]
        found["left_out"].update(one["left_out"])
        for what in ("lines", "at_import"):
            found[what][part] = {str(Path(path).relative_to(copy)): lines for path, lines in one[what].items()}
    return found


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else list(path.rglob("*.py"))


def acts_in_tests(known: dict[str, Any], case: Case, source: str) -> bool:
    """Whether a mutant lies in a function that nothing calls before the tests run."""
    part, name, mutant = case
    at_import = known["at_import"][part].get(name, ())
    return is_in_function(source, mutant) and not any(
        line in at_import for line in range(mutant.line, mutant.end_line + 1)
    )


def chosen_tests(known: dict[str, Any], case: Case, source: str, limit: Limit) -> list[str]:
    """Return the tests that reach a mutant, the quickest first; all of its part's where it acts at import alone."""
    part, name, mutant = case
    lines, seconds = known["lines"][part].get(name, {}), known["seconds"][part]
    reached = {test for line in range(mutant.line, mutant.end_line + 1) for test in lines.get(str(line), ())}
    if name in ASKED_BY:
        reached |= {test for there in known["lines"][part][ASKED_BY[name]].values() for test in there}
    if not reached and not acts_in_tests(known, (part, name, mutant), source):
        reached = set(seconds)
    ordered = sorted((test for test in reached if test in seconds), key=seconds.__getitem__)
    within, total = [], 0.0
    for test in ordered:
        total += seconds[test]
        if seconds[test] > limit.test_s or total > limit.together_s:
            break
        within.append(test)
    return within


def judge(copy: Path, state: Path, known: dict[str, Any], session: Session, case: Case, limit: Limit) -> dict[str, Any]:
    """Put a fault into the copy, run its tests, take it out again; return the outcome."""
    part, name, mutant = case
    victim = copy / name
    source, facts = victim.read_text(), victim.stat()
    names = chosen_tests(known, case, source, limit)
    if not names:
        return {"outcome": "survived", "by": "", "tests": 0, "seconds": 0.0}
    out = state / "first_failed"
    out.unlink(missing_ok=True)
    budget = 20 + 4 * sum(known["seconds"][part][test] for test in names)
    files = list(dict.fromkeys(test.partition("::")[0] for test in names))
    after = mutant.applied(source)
    victim.write_text(after)
    try:
        code, took = NOT_EXCHANGED, 0.0
        if acts_in_tests(known, case, source):
            question = {"module": str(victim), "before": source, "after": after, "tests": names, "out": str(out)}
            code, took = session.judge({**question, "cpu_s": budget, "wall_s": 8 * budget})
        if code == NOT_EXCHANGED:
            code, took = in_child(
                lambda: run_tests(files, Chosen(names, out), "-x"), state / "last.log", cpu_s=budget, wall_s=8 * budget
            )
    finally:
        victim.write_text(source)
        # As it was, so that what Python compiled of it before is good again.
        os.utime(victim, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    by = out.read_text() if out.exists() else ""
    verdict = "survived" if code in (0, 5) else "killed"
    if code == 99:
        raise SystemExit((state / "last.log").read_text()[-2000:])
    reason = by or {None: "time, memory or a signal", 2: "import", 4: "import"}.get(code, "")
    return {"outcome": verdict, "by": reason, "tests": len(names), "seconds": round(took, 2)}


def report(rows: list[dict[str, Any]], explained: set[str]) -> str:
    """Return counts by part and the table of survivors; `explained` has those that can be noticed by no test, by key."""
    lines = ["| part | mutants | killed | explained | alive |", "|---|---|---|---|---|"]
    for part in [*PARTS, "all"]:
        of = [row for row in rows if part in (row["part"], "all")]
        killed = sum(row["outcome"] == "killed" for row in of)
        known = sum(row["outcome"] == "survived" and row["key"] in explained for row in of)
        lines.append(f"| {part} | {len(of)} | {killed} | {known} | {len(of) - killed - known} |")
    alive = [row for row in rows if row["outcome"] == "survived" and row["key"] not in explained]
    lines += [
        "",
        "| alive | tests that reach it |",
        "|---|---|",
        *(f"| {title(row)} | {row['tests']} |" for row in alive),
    ]
    return "\n".join(lines)


def title(row: dict[str, Any]) -> str:
    """Return a mutant as the list of the explained names it: by its module and texts, which outlive a line number."""
    before, after = (" ".join(str(row["mutant"][end]).split()).replace("|", "\\|") for end in ("before", "after"))
    return f"`{row['module']}`: `{before}` → `{after}`"


def explained_keys(rows: list[dict[str, Any]], copy: Path) -> set[str]:
    """Return the keys of rows that the list says of why none can be killed: by title, and by what stands in the line."""
    lines = EXPLAINED.read_text().splitlines() if EXPLAINED.exists() else []
    named = [line.removeprefix("- ").partition(" — ")[0] for line in lines if line.startswith("- `")]
    found = set()
    for row in rows:
        for entry in named:
            told, _, within = entry.partition(" in `")
            if told == title(row) and within.rstrip("`") in _line_of(row, copy):
                found.add(row["key"])
    return found


def _line_of(row: dict[str, Any], copy: Path) -> str:
    raw, start = (copy / row["module"]).read_bytes(), row["mutant"]["start"]
    return raw[raw.rfind(b"\n", 0, start) + 1 : raw.find(b"\n", start)].decode()


def main() -> None:
    parser = argparse.ArgumentParser(description="put small faults into the core and run the tests that reach them")
    parser.add_argument("--sample", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, default=ROOT / "runs" / "mutants", help="outcomes so far, and the copy")
    parser.add_argument("--only", help="MODULE or MODULE:LINE: every mutant there")
    parser.add_argument("--again", action="store_true", help="judge survivors of before again")
    parser.add_argument("--longest", type=float, default=20, help="CPU seconds of a mutant's tests, together")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    given = parser.parse_args()
    given.state.mkdir(parents=True, exist_ok=True)
    state = given.state.resolve()
    copy = copy_project(state)
    if given.only:
        name, _, line = given.only.partition(":")
        part = next(part for part in PARTS if name in modules(part, copy))
        found = mutants((copy / name).read_text())
        sample = [(part, name, one) for one in found if not line or one.line <= int(line) <= one.end_line]
    else:
        sample = draw(copy, given.sample, given.seed)
    outcomes = state / "outcomes.jsonl"
    before = [json.loads(line) for line in outcomes.read_text().splitlines()] if outcomes.exists() else []
    done = {row["key"]: row for row in before}
    enter(copy)
    deadline = time.monotonic() + 60 * given.minutes
    todo = [one for one in sample if _is_open(done.get(key(copy, *one[1:])), given.again)]
    parts = {part for part, _, _ in todo}
    known = baseline(copy, state, parts)
    # Those first that are forks of the session: they take a tenth of the time.
    todo.sort(key=lambda case: not acts_in_tests(known, case, (copy / case[1]).read_text()))
    session = Session(sorted({test for part in parts for test in tests(part)}), state)
    for number, (part, name, mutant) in enumerate(todo, 1):
        if time.monotonic() > deadline:
            break
        row = {"key": key(copy, name, mutant), "part": part, "module": name, "mutant": asdict(mutant)}
        row.update(judge(copy, state, known, session, (part, name, mutant), Limit(SLOWEST_TEST_S, given.longest)))
        done[row["key"]] = row
        with outcomes.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{number}/{len(todo)} {row['outcome']:8} {row['seconds']:5.1f} s  {title(row)}", flush=True)
    session.close()
    keys = [key(copy, name, mutant) for _, name, mutant in sample]
    rows = [done[one] for one in keys if one in done]
    text = report(rows, explained_keys(rows, copy))
    (state / "report.md").write_text(f"{len(rows)} of {len(sample)} done, seed {given.seed}\n\n{text}\n")
    counts = Counter(row["outcome"] for row in rows)
    print(f"{text}\n\n{len(rows)} of {len(sample)} done: {counts['killed']} killed, {counts['survived']} survived")


def _is_open(row: dict[str, Any] | None, again: bool) -> bool:
    return row is None or (again and row["outcome"] == "survived")


if __name__ == "__main__":
    main()
