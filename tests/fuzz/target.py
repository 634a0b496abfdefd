"""A reader of untrusted input, as the fuzzer sees it."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

CORPUS = Path(__file__).with_name("corpus")
Change = Callable[[bytes, random.Random], bytes]


class Target(ABC):
    """One reader.

    Attributes:
        name: of the target, and of its folder in the corpus.
        documented: the errors that the reader says it raises.
        share: of the inputs of a whole run, next to the other targets' shares.
        pieces: of the format.
        changes: that keep the format: each takes an input and a draw.
    """

    name: ClassVar[str]
    documented: ClassVar[tuple[type[Exception], ...]]
    share: ClassVar[float] = 1.0
    pieces: ClassVar[Sequence[bytes]] = ()
    changes: ClassVar[Sequence[Change]] = ()

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch

    @abstractmethod
    def seeds(self) -> list[bytes]:
        """Return sound inputs to begin with; what lies in the corpus comes on top."""

    @abstractmethod
    def read(self, blob: bytes) -> None:
        """Read an input, and check what the reader promises of it.

        Raises:
            Exception: one of those documented; anything else is a finding.
        """

    def corpus(self) -> list[bytes]:
        """Return the seeds and the inputs of the corpus."""
        kept = sorted((CORPUS / self.name).glob("*")) if (CORPUS / self.name).is_dir() else []
        return [*self.seeds(), *(path.read_bytes() for path in kept)]


def kind_and_rest(blob: bytes, kinds: int) -> tuple[int, bytes]:
    """Return which of several kinds an input is, by its first byte, and the input."""
    return (blob[0] % kinds if blob else 0), blob[1:]
