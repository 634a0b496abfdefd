"""How far a run is, read from its journal: also of one that another process is writing."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from debate.run_folder import journal
from debate.run_folder.journal import JournalReader, Record
from debate.run_folder.lock import is_being_written
from debate.run_folder.reader import require_run
from debate.run_folder.results import MethodResult, Results

WINDOW_S = 60.0


@dataclass
class EngineStatus:
    """What one engine did.

    Fields:
        turns, generated_tokens: said by it.
        seconds: from submission to answer, summed over its turns; they overlap.
        faults: how often it failed.
    """

    turns: int = 0
    generated_tokens: int = 0
    seconds: float = 0.0
    faults: int = 0


@dataclass
class Status:
    """How far a run is.

    Fields:
        state: `running`, `finished`, `interrupted`, `failed`, or `killed`: it says running, but nobody writes it.
        reason: why, where it did not finish.
        methods: rows of the table so far.
        engines: by name.
        sessions: how often the run was begun or continued.
        turns_per_s, tokens_per_s: over the last minute of the journal.
        seconds_left: at that pace, of the methods that have begun; None where it cannot be told.
    """

    state: str
    reason: str = ""
    methods: dict[str, MethodResult] = field(default_factory=dict)
    engines: dict[str, EngineStatus] = field(default_factory=dict)
    sessions: int = 0
    turns_per_s: float = 0.0
    tokens_per_s: float = 0.0
    seconds_left: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; answers left out."""
        methods = {
            name: {key: value for key, value in vars(row).items() if key != "answers"}
            for name, row in self.methods.items()
        }
        engines = {name: vars(engine) for name, engine in self.engines.items()}
        return {**vars(self), "methods": methods, "engines": engines}


def status_of(run: Path) -> Status:
    """Return how far a run is.

    Raises:
        RunError: the folder is not a run, or its journal is damaged.
    """
    require_run(run)
    status, results = Status(*_state(run)), Results()
    recent: list[tuple[float, int, bool]] = []
    for entry in JournalReader(run / journal.NAME):
        record = entry.record
        results.add(record)
        status.sessions += record["kind"] == "session"
        if record["kind"] in ("turn", "fault"):
            _count(status.engines.setdefault(_engine(record), EngineStatus()), record)
        if record["kind"] == "session":
            recent = []
        elif record["kind"] in ("turn", "decision", "failed"):
            tokens = record["usage"]["generated_tokens"] if record["kind"] == "turn" else 0
            recent.append((record["t"], tokens, record["kind"] == "turn"))
            if len(recent) > 1 and recent[len(recent) // 2][0] < record["t"] - WINDOW_S:
                recent = recent[len(recent) // 2 :]
    status.methods = results.rows
    if recent:
        last = recent[-1][0]
        recent = [part for part in recent if part[0] >= last - WINDOW_S]
        span = max(last - recent[0][0], 1e-3)
        turns = sum(is_turn for *_, is_turn in recent)
        status.turns_per_s, status.tokens_per_s = turns / span, sum(tokens for _, tokens, _ in recent) / span
        ended = len(recent) - turns
        left = sum(row.asked - row.total for row in results.rows.values())
        status.seconds_left = left * span / ended if ended and status.state == "running" else None
    return status


def _state(run: Path) -> tuple[str, str]:
    try:
        facts = json.loads((run / "run.json").read_text())
    except (OSError, ValueError):
        facts = {"status": "running"}
    if facts["status"] == "running" and not is_being_written(run):
        return "killed", "its process is gone; the same command goes on where it was"
    return facts["status"], facts.get("error", "")


def _engine(record: Record) -> str:
    return str(record["engine"] if record["kind"] == "fault" else record["cost"]["engine"]) or "by rule"


def _count(engine: EngineStatus, record: Record) -> None:
    if record["kind"] == "fault":
        engine.faults += 1
        return
    engine.turns += 1
    engine.generated_tokens += record["usage"]["generated_tokens"]
    engine.seconds += record["cost"]["seconds"]
