"""Plays recorded cases, and reads and writes what they came to."""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

import torch
import transformers
from regression.cases import Case
from regression.outcome import lines_of

from debate import DebateConfig, load_config
from evals import Selection, analyse_run, evaluate, write_outputs

HERE = Path(__file__).resolve().parent
RECORDED = HERE / "recorded"
# What is recorded of the old run.
OLD_RUN = ("old run reported", "old run resumed")


def play(case: Case, folder: Path, *, runtime: dict | None = None) -> list[str]:
    """Play a case in an empty folder, its run in `run`, and return its lines."""
    with contextlib.chdir(workplace(folder)):
        if case.random_models:
            make_random_models(folder / "runs")
        config = (
            load_config(Path(case.config)) if isinstance(case.config, str) else DebateConfig.model_validate(case.config)
        )
        if runtime is not None:
            config = DebateConfig.model_validate({**case.config, "execution": runtime})
        data = None if case.data is None else Path(case.data)
        selection = Selection(limit=case.limit, data=data)
        run = Path("run")
        asyncio.run(evaluate(config, out=run, methods=case.methods, selection=selection, overwrite=True))
        if case.outputs:
            write_outputs(run)
        lines = lines_of(run, is_real=case.is_real, with_turns=case.with_turns)
        return [*lines, *beliefs(run)] if case.is_real and case.outputs else lines


def beliefs(run: Path) -> list[str]:
    """Return what the deciding agents hold over the options at last, as the report sums it up."""
    held = {method.name: method.held for method in analyse_run(run).methods}
    return [
        f"{name} holds {found.probability:.2f} of the right option, NLL {found.nll:.2f}, {found.exact} of {found.count} exact"
        for name, found in held.items()
        if found is not None
    ]


def workplace(folder: Path) -> Path:
    """Return a folder with the files that configs name by relative paths, which stand in journals."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("prompts", "questions.jsonl", "crossed.yaml", "crossed_graph.yaml", "old_run.yaml"):
        if not (folder / name).exists():
            (folder / name).symlink_to(HERE / name)
    return folder


def play_old_run(folder: Path, debate: Callable[..., object]) -> dict[str, list[str]]:
    """Report the old run and resume it to its end, and return the lines of both.

    Args:
        folder: an empty one.
        debate: runs the command `debate` with some arguments.
    """
    with contextlib.chdir(workplace(folder)):
        shutil.copytree(HERE / "old_run", "old_run")
        debate("report", "old_run")
        reported = lines_of(Path("old_run"))
        debate("eval", "old_run.yaml", "--limit", "4", "--out", "old_run")
        return dict(zip(OLD_RUN, (reported, lines_of(Path("old_run"))), strict=True))


def make_random_models(folder: Path) -> None:
    """Write small belief backends of random weights."""
    from support.small_text_models import small_kalm, small_langsamp, small_matryoshka

    for name, make in (("kalm", small_kalm), ("langsamp", small_langsamp), ("matryoshka_2d", small_matryoshka)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        make(folder / name)


def machine() -> str:
    """Return what last bits depend on: versions, the processor's kind, and what it makes of a few numbers."""
    noise = torch.randn(257, 48, generator=torch.Generator().manual_seed(0))
    made = torch.softmax(noise @ noise.T, 1) @ noise
    bits = hashlib.sha256(b"".join(part.numpy().tobytes() for part in (noise, made, made.exp().log1p()))).hexdigest()
    native = os.environ.get("CIPHER_DEBATE_NATIVE") != "0" and any(map(shutil.which, ("c++", "g++", "clang++")))
    kind = (
        f"{torch.backends.cpu.get_cpu_capability()}, {'with' if native else 'without'} a compiler, numbers {bits[:10]}"
    )
    return f"torch {torch.__version__}, transformers {transformers.__version__}, {kind}"


def file_of(name: str) -> Path:
    """Return the file of a case's lines: those of one kind are in one file."""
    return RECORDED / f"{name.partition(' ')[0]}.jsonl"


def recorded(name: str) -> list[str]:
    """Return the recorded lines of a case."""
    return _read(file_of(name)).get(name, [])


def record(outcomes: dict[str, list[str]], known: Collection[str]) -> None:
    """Write the lines of cases; those of other known cases stay, and what is of none goes."""
    for file in sorted({file_of(name) for name in outcomes}):
        kept = {name: lines for name, lines in _read(file).items() if name in known}
        found = {**kept, **{name: lines for name, lines in outcomes.items() if file_of(name) == file}}
        lines = [line for name, said in found.items() for line in ({"case": name}, *said)]
        file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _read(file: Path) -> dict[str, list[str]]:
    """Return case → lines of a file: each case's name as an object, then its lines as strings."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in file.read_text(encoding="utf-8").split("\n") if file.is_file() else ():
        match json.loads(line) if line else None:
            case {"case": str(name)}:
                found[name] = []
            case str(said):
                found[name].append(said)
    return found
