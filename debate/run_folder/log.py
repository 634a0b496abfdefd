"""The log of a run, RUN/log.jsonl: one JSON object an event, for people and collectors. What was said is in the journal."""

import os
from pathlib import Path
from typing import Any, TextIO

from agents.errors import writing_failed
from debate.run_folder.contents import open_inside
from debate.run_folder.journal import Record

# Records that are events of the run itself; turns and decisions are too many, and in the journal.
LEVELS = {"session": "info", "method": "info", "fault": "warning", "runner": "warning", "failed": "error"}


class Log:
    """Appends events; a line is handed to the operating system when it is written."""

    def __init__(self, path: Path) -> None:
        import structlog

        self._path = path
        try:
            handle = open_inside(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            self._file: TextIO = os.fdopen(handle, "a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise writing_failed(path, error) from error
        self._logger: Any = structlog.wrap_logger(
            structlog.WriteLogger(self._file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.BoundLogger,
        )

    def event(self, event: str, level: str = "info", **fields: Any) -> None:
        """Write an event.

        Raises:
            RunError: the disk does not take it.
        """
        try:
            getattr(self._logger, level)(event, **fields)
        except OSError as error:
            raise writing_failed(self._path, error) from error

    def record(self, record: Record) -> None:
        """Write a record of the journal, if it is an event of the run itself."""
        if record["kind"] in LEVELS:
            fields = {key: value for key, value in record.items() if key not in ("kind", "t", "text")}
            self.event(record["kind"], LEVELS[record["kind"]], **fields)

    def close(self) -> None:
        """Close the file.

        Raises:
            RunError: the disk does not take what is left of it.
        """
        try:
            self._file.close()
        except OSError as error:
            raise writing_failed(self._path, error) from error
