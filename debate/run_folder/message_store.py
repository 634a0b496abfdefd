"""CIPHER messages of a run on disk, by content: FOLDER/DI/DIGEST.safetensors, the first two digits as folders."""

from collections.abc import Collection
from pathlib import Path

from agents.message import Message
from agents.message_file import read_message, write_message

# The folder of a run that holds them.
MESSAGES = "messages"


class MessageStore:
    """A folder of messages, each written once: aside, then renamed.

    Args:
        path: the folder.
        durable: wait for the disk after each.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self.path, self._durable = path, durable
        self._known = {file.stem for file in path.glob("*/*.safetensors")} if path.is_dir() else set()

    def file(self, digest: str) -> Path:
        """Return where a message is or would be."""
        return self.path / digest[:2] / f"{digest}.safetensors"

    def put(self, message: Message) -> None:
        """Write a message unless it is there.

        Raises:
            RunError: the disk did not take it.
        """
        if message.digest not in self._known:
            write_message(message, self.file(message.digest), durable=self._durable)
            self._known.add(message.digest)

    def get(self, digest: str) -> Message:
        """Return a message, checked; see `read_message`."""
        return read_message(self.file(digest))

    def __contains__(self, digest: str) -> bool:
        return digest in self._known

    def keep(self, digests: Collection[str]) -> int:
        """Delete what is none of these, and what was left half written; return how many files that were.

        A process that is killed between writing a message and the record that names it leaves such a file; the turn is
        computed again, and the file with it.
        """
        wanted = {self.file(digest) for digest in digests}
        # What is half written is there under another name (see `write_message`).
        orphans = [file for file in self.path.glob("*/*") if file not in wanted]
        for file in orphans:
            file.unlink(missing_ok=True)
        self._known &= set(digests)
        return len(orphans)
