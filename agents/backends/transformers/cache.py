"""A KV cache of slots: every row writes at its own position, rows come and go without moving the others.

Rows that decode sit in slots 0 … n−1, so a decode step reads plain views. What a finished row left behind stays in its
slot until a new row needs it, and is where common prompt prefixes are found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from agents.attention.packing import Packing
from agents.attention.row_attention import Notes

GROWTH = 128


@dataclass
class Window:
    """Which slots, and which positions in them, the next forward writes.

    Attributes:
        first, last: the slots [first, last).
        positions: [n] int64, the position each row writes next; None for a run of positions of one row.
        start: the first position, where one row writes several.
        length: positions that attention reads, from 0.
        slots: of the rows, where they are not first, first + 1, …
        gathered: attention is given the keys of these slots only, copied; if not, of all slots of the window.
        packing: where the parts of a packed row go; None of other forward passes.
    """

    first: int
    last: int
    positions: torch.Tensor | None
    start: int
    length: int
    slots: Sequence[int] | None = None
    gathered: bool = True
    packing: Packing | None = None


class SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer: [slots, H_kv, capacity, head].

    Attributes:
        held: what a slot has of every position, by the names of the attributes.
    """

    held: tuple[str, ...] = ("keys", "values")

    def __init__(self, cache: "SlotCache") -> None:
        super().__init__()
        self.owner = cache
        # By slot: what an attention noted of the positions that stand there.
        self._notes: dict[int, Notes] = {}

    def notes_of(self, slot: int) -> Notes:
        """Return what is noted of the first positions of a slot, to be added to; what is written over is noted no longer."""
        return self._notes.setdefault(slot, [])

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate for the shapes that the model turned out to have."""
        self.keys = key_states.new_zeros(self._shape(key_states))
        self.values = value_states.new_zeros(self._shape(value_states))
        self.is_initialized = True

    def _shape(self, states: torch.Tensor) -> tuple[int, int, int, int]:
        return (self.owner.slots, states.shape[1], self.owner.capacity, states.shape[3])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write [n, H_kv, Q, head] where the window says and return what attention reads, [n, H_kv, L, head].

        Rows beyond the window's are padding and are not written.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        window = self.owner.window
        if self._notes:
            self._strike(window)
        if window.packing is not None:
            for run, span in zip(window.packing.runs, window.packing.spans, strict=True):
                where = (run.slot, slice(None), slice(run.start, run.start + run.length))
                self.keys[where], self.values[where] = key_states[0, :, span], value_states[0, :, span]
            return self.keys, self.values
        if window.positions is not None:
            device = key_states.device
            if window.slots is None:
                rows = torch.arange(window.first, window.last, device=device)
            else:
                rows = torch.tensor(window.slots, device=device)
            self.keys[rows, :, window.positions] = key_states[: len(rows), :, 0]
            self.values[rows, :, window.positions] = value_states[: len(rows), :, 0]
        else:
            span = slice(window.start, window.start + key_states.shape[2])
            self.keys[window.first : window.last, :, span] = key_states
            self.values[window.first : window.last, :, span] = value_states
        if window.slots is not None and window.gathered:
            return self.keys[window.slots, :, : window.length], self.values[window.slots, :, : window.length]
        reach = (slice(window.first, window.last), slice(None), slice(0, window.length))
        return self.keys[reach], self.values[reach]

    def resize(self) -> None:
        """Take the owner's number of slots and capacity, keeping what is there."""
        if not self.is_initialized:
            return
        for name in self.held:
            old = getattr(self, name)
            new = old.new_zeros((self.owner.slots, old.shape[1], self.owner.capacity, old.shape[3]))
            slots, capacity = min(len(new), len(old)), min(new.shape[2], old.shape[2])
            new[:slots, :, :capacity] = old[:slots, :, :capacity]
            setattr(self, name, new)

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of one slot into another."""
        if self.is_initialized:
            for name in self.held:
                states = getattr(self, name)
                states[target, :, :length] = states[source, :, :length]
        if self._notes:
            self._notes[target] = [note for note in self._notes.get(source, ()) if note[0] <= length]

    def _strike(self, window: Window) -> None:
        """Strike what is noted of positions that a window writes over."""
        starts: dict[int | None, int]
        if window.packing is not None:
            starts = {run.slot: run.start for run in window.packing.runs if run.slot is not None}
        elif window.positions is None:
            starts = dict.fromkeys(range(window.first, window.last), window.start)
        else:
            slots = range(window.first, window.last) if window.slots is None else window.slots
            starts = dict(zip(slots, window.positions.tolist(), strict=True))
        for slot, start in starts.items():
            notes = [] if slot is None else self._notes.get(slot, [])
            while notes and notes[-1][0] > start:
                notes.pop()

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return length and offset of the keys; the engine gives its own masks."""
        return self.owner.window.length, 0

    def get_seq_length(self) -> int:
        """Return the positions before the window."""
        return self.owner.window.start

    def get_max_length(self) -> int:
        """Return the positions a slot holds."""
        return self.owner.capacity


class SlotCache(Cache):  # type: ignore[misc]
    """The cache that the engine hands to the model. It grows to the longest row and the most rows seen.

    Args:
        num_layers: of the model.
        layer: of each layer.
    """

    def __init__(self, num_layers: int, layer: "Callable[[SlotCache], SlotLayer]" = SlotLayer) -> None:
        self.slots = 0
        self.capacity = 0
        self.window = Window(0, 0, None, 0, 0)
        super().__init__(layers=[layer(self) for _ in range(num_layers)])

    def has_previous_state(self, layer_idx: int | None = None) -> bool:
        """Refuse a layer that asks for a state of its own.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("some of its layers keep a state in place of keys and values")

    def reserve(self, slots: int, capacity: int) -> None:
        """Make room for a number of slots of a number of positions."""
        capacity = -(-capacity // GROWTH) * GROWTH
        if slots <= self.slots and capacity <= self.capacity:
            return
        self.slots, self.capacity = max(self.slots, slots), max(self.capacity, capacity)
        for layer in self.layers:
            layer.resize()

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of one slot into another, in every layer."""
        for layer in self.layers:
            layer.copy(source, target, length)
