"""What the journals of methods write to and read from: the journal of the run, its messages, log and state."""

import time
from pathlib import Path

from debate.run_folder.journal import Journal, Record
from debate.run_folder.log import Log
from debate.run_folder.message_store import MessageStore
from debate.run_folder.run_state import RunState
from debate.run_folder.signing import RunSigner


class RunStore:
    """The records and messages of one run, open for writing.

    Attributes:
        path: path of the run folder.
        state: state after the records so far.
        warnings: sentences about damage that was found.
        messages: the CIPHER messages.
        log: events, for people.
        signer: signs what is said; None where no key was given.
    """

    path: Path
    state: RunState
    warnings: list[str]
    messages: MessageStore
    log: Log
    signer: RunSigner | None
    _journal: Journal

    def append(self, record: Record) -> int:
        """Write a record to the journal and to the state; return its offset."""
        stamped = {**record, "t": round(time.time(), 3)}
        offset = self._journal.append(stamped)
        self.state.add(stamped, offset)
        self.log.record(stamped)
        return offset

    def refuse_if_elsewhere(self) -> None:
        """Raise RunError where the folder was deleted or moved meanwhile: nothing is to be made in its place."""
        self._journal.refuse_if_elsewhere()

    def read(self, offset: int) -> Record:
        """Return the record at an offset of the journal."""
        return self._journal.read(offset)
