"""The runs below a folder, each in a line: what it is of, how it stands, how its methods fared."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agents.errors import DebateError
from debate.run_folder import journal
from debate.run_folder.facts import read_facts
from debate.run_folder.reader import RunReader
from debate.run_folder.status import state_of

# Folders of folders of runs: an experiment's tasks, a search's trials.
DEPTH = 4


@dataclass(frozen=True)
class RunLine:
    """One run.

    Attributes:
        path: its folder.
        state: `running`, `finished`, `interrupted`, `failed`, `killed`, or `damaged`.
        reason: why, where it did not finish.
        task, model: its task and model; empty if its journal does not say.
        methods: name → (correct, ended).
        changed: time of the last write, in seconds since 1970.
    """

    path: Path
    state: str
    reason: str
    task: str
    model: str
    methods: dict[str, tuple[int, int]] = field(default_factory=dict)
    changed: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        methods = {name: {"correct": correct, "total": total} for name, (correct, total) in self.methods.items()}
        return {**asdict(self), "path": str(self.path), "methods": methods}


def list_runs(folder: Path) -> list[RunLine]:
    """Return the runs in a folder and in folders in it, the one written last first."""
    return sorted((_line(run) for run in runs_below(folder)), key=lambda run: (-run.changed, run.path))


def runs_below(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Yield the run folders at or below a folder; nothing inside a run is looked at."""
    if (folder / journal.NAME).is_file():
        yield folder
        return
    if depth and folder.is_dir():
        with os.scandir(folder) as entries:
            inner = sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
        for path in inner:
            yield from runs_below(path, depth - 1)


def _line(run: Path) -> RunLine:
    changed = (run / journal.NAME).stat().st_mtime
    try:
        state, reason = state_of(run)
        table = _table(run, state)
        methods = {name: (int(row["correct"]), int(row["total"])) for name, row in table["methods"].items()}
        return RunLine(run, state, reason, str(table["task"]), str(table["model"]), methods, changed)
    except (DebateError, OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        return RunLine(run, "damaged", " ".join(str(error).split()), "", "", changed=changed)


def _table(run: Path, state: str) -> dict[str, Any]:
    """Return results.json, or what it would hold where the run has not finished."""
    if state == "finished" and (run / "results.json").is_file():
        return read_facts(run / "results.json")
    return RunReader(run).state.table()
