"""The index of a run: a row a question and a cell a method, kept up to date from the journal. Turns stay on disk.

The journal is read once; afterwards only what was appended. What a turn answers is read out of its text by the task, which
takes longer than the rest, so it is done apart (`read_answers`), some turns at a time.
"""

import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

from agents.component import is_component
from agents.errors import RunError
from agents.question import Question
from debate.config.load import load_config
from debate.config.schema import DebateConfig
from debate.run_folder import journal
from debate.run_folder.chain import read_seal
from debate.run_folder.journal import JournalReader, Record
from debate.run_folder.reader import require_run
from debate.run_folder.run_state import DebateState, RunState
from debate.run_folder.status import state_of
from debate.transcript import TurnKey
from evals.methods import config_of, is_bound
from evals.samples import read_shown
from evals.scorer import Scorer
from evals.task import create_task
from evals.viewer.cell import Cell, Word, totals

# Of a question, in the table.
LONGEST_TEXT = 300


class RunIndex:
    """What the viewer knows of one run. Safe to use from several threads.

    Args:
        path: the run folder.

    Attributes:
        version: counts the changes.
        is_read: whether every turn's answer is known.

    Raises:
        RunError: not a run, or a damaged journal.
    """

    def __init__(self, path: Path) -> None:
        require_run(path)
        self.path = path
        self._lock = threading.RLock()
        self._begin()
        self.advance()

    def _begin(self) -> None:
        self.version = 0
        self.state = RunState()
        self._journal = JournalReader(self.path / journal.NAME, read_seal(self.path))
        self._cells: dict[str, dict[str, Cell]] = {}
        self._questions: dict[str, str] = {}
        self._targets: dict[str, str] = {}
        self._pictures: dict[str, str] = {}
        self._unread: deque[int] = deque()
        self._configs: dict[str, DebateConfig] = {}
        self._scorer: Scorer | None = None
        self._standing: tuple[str, str] = ("", "")

    @property
    def is_read(self) -> bool:
        """Whether every turn's answer is known."""
        return not self._unread

    @property
    def standing(self) -> str:
        """How the run stood when it was last looked at, e.g. `running`."""
        return self._standing[0]

    @property
    def stand(self) -> tuple[int, str]:
        """What a report of the run depends on: how far its journal has been read, and how it stood then."""
        return self._journal.end, self.standing

    def advance(self) -> bool:
        """Read what was appended to the journal; return whether anything changed. A run begun anew is read from its start.

        Raises:
            RunError: a damaged journal.
        """
        with self._lock:
            before = self.version, self._standing
            try:
                self._read()
            except RunError:
                if self._journal.end == 0:
                    raise
                # Another run of the same name, or damage, which the reading from the start will tell.
                self._begin()
                self.version = before[0] + 1
                self._read()
            self._standing = state_of(self.path)
            return (self.version, self._standing) != before

    def _read(self) -> None:
        for entry in self._journal.more():
            self.state.replay([entry])
            self._note(entry.record, entry.offset)
        if self._journal.end == 0:
            raise RunError(f"{self.path}: its journal is empty")

    def _note(self, record: Record, offset: int) -> None:
        name, question = record.get("method"), record.get("question")
        if name is None:
            return
        if not is_component(name):
            raise RunError(f"{self.path}: its journal has a method {name[:80]!r}, which is no name of a folder")
        cells = self._cells.setdefault(name, {})
        if question is None:
            self.version += 1
            return
        cell = cells.setdefault(question, Cell())
        match record["kind"]:
            case "question":
                self._questions.setdefault(question, record["text"])
            case "turn":
                cell.turns += 1
                cell.tokens += record["usage"]["generated_tokens"]
                self._unread.append(offset)
            case "decision" | "failed":
                self._questions.setdefault(question, record["text"])
                cell.is_over, cell.answer = True, record.get("answer")
                cell.verdict = "failed" if record["kind"] == "failed" else record.get("score", "")
                if record.get("target") is not None:
                    self._targets[question] = record["target"]
        self.version += 1
        cell.version = self.version

    def read_answers(self, most: int = 500) -> bool:
        """Read what some of the turns that are not read yet answer; return whether there are more."""
        with self._lock:
            if self._unread:
                scorer = self.scorer
                with self._journal.opened() as at:
                    for _ in range(min(most, len(self._unread))):
                        record = at(self._unread[0])
                        cell = self._cells[record["method"]][record["question"]]
                        cell.hear(self.word(record, scorer))
                        # Read: what fails above is tried again, not passed over.
                        self._unread.popleft()
                        self.version += 1
                        cell.version = self.version
            return bool(self._unread)

    def word(self, record: Record, scorer: Scorer) -> Word:
        """Return what the turn of a record answers."""
        question = record["question"]
        target = self.target(question)
        scorer.know(Question(question, self._questions.get(question, "")), target)
        score = scorer.score(question, record["text"])
        verdict = "" if target is None else str(score.value)
        return Word(record["round"], record["place"], sys.intern(record["agent"]), score.answer, verdict)

    @property
    def scorer(self) -> Scorer:
        """How answers are read."""
        with self._lock:
            if self._scorer is None:
                shown = list(read_shown(self.path))
                samples = [sample for sample, _ in shown]
                self._targets |= {sample.id: sample.target for sample in samples}
                self._pictures = {sample.id: picture for sample, picture in shown if picture}
                self._scorer = Scorer(create_task(self.config.task, seed=self.config.seed), samples)
            return self._scorer

    def target(self, question: str) -> str | None:
        """Return the right answer of a question; None where nothing tells it."""
        return self._targets.get(question) or None

    def picture(self, question: str) -> str | None:
        """Return the picture that a question is about as an address that holds it, a small PNG; None where there is none."""
        _ = self.scorer
        found = self._pictures.get(question)
        return f"data:image/png;base64,{found}" if found else None

    @property
    def config(self) -> DebateConfig:
        """That the run was begun with."""
        with self._lock:
            if "" not in self._configs:
                self._configs[""] = load_config(self.path / "config.yaml", is_record=True)
            return self._configs[""]

    def method_config(self, name: str) -> DebateConfig:
        """Return the config that a method played."""
        with self._lock:
            if name not in self._configs:
                self._configs[name] = config_of(self.path / name, self.config)
            return self._configs[name]

    def debate(self, method: str, question: str) -> DebateState:
        """Return where a debate is in the journal.

        Raises:
            RunError: there is none.
        """
        with self._lock:
            found = self.state.methods.get(method)
            if found is None or question not in found.debates:
                raise RunError(f"{self.path} has no debate of {method[:80]!r} over {question[:80]!r}")
            return found.debates[question]

    def has_turn(self, question: str, turn: TurnKey) -> bool:
        """Whether a turn over a question is in the journal, of the method that is played last."""
        with self._lock:
            methods = list(self.state.methods.values())
            debate = methods[-1].debates.get(question) if methods else None
            return debate is not None and turn in debate.turns

    def records(self, method: str, question: str) -> tuple[list[Record], Record | None]:
        """Return the records of a debate's turns in the order of the plan, and the one that ended it."""
        debate = self.debate(method, question)
        with self._journal.opened() as at:
            turns = [at(turn.offset) for turn in list(debate.turns.values())]
            end = None if debate.end is None else at(debate.end)
        return sorted(turns, key=lambda turn: (turn["round"], turn["place"])), end

    def questions(self) -> list[str]:
        """Return the ids of the questions in the order in which they were begun."""
        with self._lock:
            return list(self._questions)

    def text(self, question: str) -> str:
        """Return what was asked."""
        return self._questions[question]

    def cell(self, method: str, question: str) -> Cell | None:
        """Return one debate's cell."""
        return self._cells.get(method, {}).get(question)

    def overview(self, since: int = 0) -> dict[str, Any]:
        """Return the run as JSON values, and of the cells those that changed after a version."""
        with self._lock:
            state, reason = self._standing
            order = self._methods()
            return {
                "name": self.path.name,
                "state": state,
                "reason": reason,
                "task": self.config.task,
                "seed": str(self.config.seed),
                "models": sorted(self.state.models),
                "version": self.version,
                "since": since,
                "read": self.is_read,
                "methods": [self._method(name) for name in order],
                "questions": [
                    {"id": question, "text": text[:LONGEST_TEXT], "target": self.target(question)}
                    for question, text in self._questions.items()
                ]
                if not since
                else self._questions_since(since),
                "cells": {name: self._changed(name, since) for name in order},
            }

    def _methods(self) -> list[str]:
        """Return the methods in the order of the config, then of the journal."""
        asked = (self.state.config or {}).get("asked", {}).get("methods") or []
        return [name for name in asked if name in self._cells] + [name for name in self._cells if name not in asked]

    def _questions_since(self, since: int) -> list[dict[str, Any]]:
        fresh = {q for cells in self._cells.values() for q, cell in cells.items() if cell.version > since}
        return [
            {"id": question, "text": text[:LONGEST_TEXT], "target": self.target(question)}
            for question, text in self._questions.items()
            if question in fresh
        ]

    def _changed(self, name: str, since: int) -> dict[str, Any]:
        voters = self.method_config(name).electorate.voters
        cells = self._cells[name]
        return {question: cell.as_json(voters) for question, cell in cells.items() if cell.version > since}

    def _method(self, name: str) -> dict[str, Any]:
        config, row = self.method_config(name), self.state.methods[name].result
        kept = ("correct", "no_answer", "failed", "total", "asked", "turns", "generated_tokens", "message_bytes")
        return {
            "name": name,
            "message": config.message,
            "encoder": config.encoder if config.message == "cipher" else None,
            "agents": list(config.agents),
            "voters": list(config.electorate.voters),
            "rounds": config.rounds,
            "topology": str(config.topology) if isinstance(config.topology, str) else "own",
            "protocol": str(config.protocol),
            "decision": config.decision,
            "bound": is_bound(name),
            "counts": {key: getattr(row, key) for key in kept},
            "verdicts": totals(self._cells[name]),
        }


def by_name(paths: list[Path]) -> dict[str, Path]:
    """Return runs by a short name that tells them apart, which deep links hold."""
    found: dict[str, Path] = {}
    for path in paths:
        absolute = path.resolve()
        name, folder = absolute.name, absolute.parent
        while name in found and folder != folder.parent:
            name, folder = f"{folder.name}~{name}", folder.parent
        if found.get(name) not in (None, path):
            name = f"{name}~{len(found)}"
        found[name] = path
    return found
