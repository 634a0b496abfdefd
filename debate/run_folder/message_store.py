"""CIPHER messages of a run on disk, by content: FOLDER/DI/DIGEST.safetensors, the first two digits as folders."""

import re
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path

from agents.errors import MessageError
from agents.message import Message
from agents.message_file import read_message, write_message
from debate.run_folder.contents import sweep_messages

_DIGEST = re.compile(r"[0-9a-f]{64}")


def message_path(folder: Path, digest: str) -> Path:
    """Return where a message of a store is or would be.

    Raises:
        MessageError: no digest, so the name of no file.
    """
    if not _DIGEST.fullmatch(digest):
        raise MessageError(f"{folder}: no message is called {digest[:80]!r}")
    return folder / digest[:2] / f"{digest}.safetensors"


class MessageStore:
    """A folder of messages, each written once: aside, then renamed.

    Args:
        path: the folder.
        durable: wait for the disk after each.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self.path, self._durable = path, durable

    @cached_property
    def _known(self) -> set[str]:
        """The messages that are there; listed when they are first asked for, as a run has tens of thousands."""
        found = self.path.glob("*/*.safetensors") if self.path.is_dir() else ()
        # One in another folder than its own is where nobody looks for it.
        return {file.stem for file in found if file.parent.name == file.stem[:2]}

    def file(self, digest: str) -> Path:
        """Return where a message is or would be.

        Raises:
            MessageError: no digest, so the name of no file.
        """
        return message_path(self.path, digest)

    def put(self, message: Message) -> None:
        """Write a message unless it is there.

        Raises:
            RunError: the disk did not take it.
        """
        if message.digest not in self._known:
            write_message(message, self.file(message.digest), durable=self._durable)
            self._known.add(message.digest)

    def get(self, digest: str) -> Message:
        """Return a message, checked, against its name too; see `read_message`. One that is refused is not there any more."""
        try:
            file = self.file(digest)
            message = read_message(file, follow=False)
            if message.digest != digest:
                raise MessageError(f"{file}: it holds another message, {message.digest[:12]}: the file was exchanged")
        except MessageError:
            self._known.discard(digest)
            raise
        return message

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._known))

    def keep(self, digests: Collection[str]) -> int:
        """Remove messages that are none of these, and what was left half written; return how many files that were.

        A process that is killed between writing a message and the record that names it leaves such a file; the turn is
        computed again, and the file with it. What is called otherwise was not left by us, and stays.
        """
        self._known &= set(digests)
        return sweep_messages(self.path, {f"{digest}.safetensors" for digest in digests})
