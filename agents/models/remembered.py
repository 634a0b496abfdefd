"""States that a layer computed of the beginnings of texts, by what they were computed of. The oldest in use are forgotten."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, uint8

from agents.attention.row_attention import Notes


class Remembered:
    """No more bytes of states than so many; a state is some tensors.

    Args:
        most: bytes, of all rows together. One state is kept, however large.
    """

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0
        self._states: OrderedDict[bytes, tuple[Tensor, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def latest(self, names: Sequence[bytes]) -> tuple[int, tuple[Tensor, ...] | None]:
        """Return the place of the last name whose state is remembered, and the state; −1 and None where none is."""
        place = next((place for place in reversed(range(len(names))) if names[place] in self._states), -1)
        if place < 0:
            return place, None
        # What is in use is forgotten last.
        self._states.move_to_end(names[place])
        return place, self._states[names[place]]

    def keep(self, name: bytes, *state: Tensor) -> None:
        """Remember a state that is not yet, and forget those that were used longest ago where there is no room for more."""
        # Tensors of its own: a part of a larger one would keep the whole.
        self._states[name] = tuple(part.clone() for part in state)
        self.held += _size(state)
        while self.held > self.most and len(self._states) > 1:
            self.held -= _size(self._states.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget all."""
        self._states.clear()
        self.held = 0


def names_of(
    weights: Tensor, parts: Sequence[Tensor], segment: int, end: int, notes: Notes | None = None
) -> list[bytes]:
    """Return a hash of all that the state after each segment before a position depends on, each made of the one before.

    Args:
        weights: that the states depend on too.
        parts: [H, L, …], of a row.
        segment: positions.
        end: a multiple of it.
        notes: hashes of this row's first segments, to be read and added to: what is noted is hashed no second time.
    """
    names = [name for stop, name in notes or () if stop <= end]
    for first in range(len(names) * segment, end, segment):
        sha = hashlib.sha256(names[-1] if names else _bytes(weights))
        for part in parts:
            sha.update(_bytes(part[:, first : first + segment]))
        names.append(sha.digest())
        if notes is not None:
            notes.append((first + segment, names[-1]))
    return names


def _size(state: Sequence[Tensor]) -> int:
    return sum(part.nbytes for part in state)


def _bytes(x: Tensor) -> bytes:
    return x.detach().to("cpu").contiguous().view(uint8).numpy().tobytes()
