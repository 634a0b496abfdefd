"""States that a layer computed of the beginnings of texts, by what they were computed of. The oldest in use are forgotten."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

from torch import Tensor, uint8

S = TypeVar("S")


class Remembered(Generic[S]):
    """At most so many states.

    Args:
        most: of all rows together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._states: OrderedDict[bytes, S] = OrderedDict()

    def latest(self, names: Sequence[bytes]) -> tuple[int, S | None]:
        """Return the place of the last name whose state is remembered, and the state; −1 and None where none is."""
        place = max((place for place, name in enumerate(names) if name in self._states), default=-1)
        if place < 0:
            return place, None
        # What is in use is forgotten last.
        self._states.move_to_end(names[place])
        return place, self._states[names[place]]

    def keep(self, name: bytes, state: S) -> None:
        """Remember a state."""
        self._states[name] = state

    def trim(self) -> None:
        """Forget the oldest of more than there is room for."""
        while len(self._states) > self.most:
            self._states.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._states.clear()


def names_of(weights: Tensor, parts: Sequence[Tensor], segment: int, end: int) -> list[bytes]:
    """Return a hash of all that the state after each segment before a position depends on.

    Args:
        weights: that the states depend on too.
        parts: [H, L, …], of a row.
        segment: positions.
        end: a multiple of it.
    """
    sha, names = hashlib.sha256(_bytes(weights)), []
    for first in range(0, end, segment):
        for part in parts:
            sha.update(_bytes(part[:, first : first + segment]))
        names.append(sha.digest())
    return names


def _bytes(x: Tensor) -> bytes:
    return x.detach().to("cpu").contiguous().view(uint8).numpy().tobytes()
