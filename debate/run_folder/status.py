"""How far a run is, read from its journal: also of one that another process is writing."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.errors import RunError
from debate.run_folder.activity import Activity, EngineStatus
from debate.run_folder.chain import STATUS
from debate.run_folder.facts import read_facts
from debate.run_folder.lock import is_being_written
from debate.run_folder.reader import RunReader
from debate.run_folder.results import MethodResult


@dataclass
class Status:
    """How far a run is.

    Attributes:
        state: `running`, `finished`, `interrupted`, `failed`, or `killed`: it says running, but nobody writes it.
        reason: why, where it did not finish.
        methods: rows of the table so far.
        engines: name → engine.
        sessions: number of times that the run was begun or continued.
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
    activity = Activity()
    found = RunReader(run, activity)
    state, reason = state_of(run)
    rows, pace = found.state.results, activity.pace()
    left = sum(row.asked - row.total for row in rows.values())
    return Status(
        state,
        reason,
        methods=rows,
        engines=activity.engines,
        sessions=activity.sessions,
        turns_per_s=pace.turns_per_s,
        tokens_per_s=pace.tokens_per_s,
        seconds_left=left / pace.ended_per_s if pace.ended_per_s and state == "running" else None,
    )


def state_of(run: Path) -> tuple[str, str]:
    """Return how a run stands, and why where it did not finish; its journal is not read."""
    try:
        facts = read_facts(run / STATUS)
    except RunError:
        facts = {}
    state, reason = facts.get("status"), facts.get("error", "")
    if not isinstance(state, str) or not isinstance(reason, str):
        # Damaged, or not written yet.
        state, reason = "running", ""
    if state == "running" and not is_being_written(run):
        return "killed", "its process is gone; the same command continues it"
    return state, reason
