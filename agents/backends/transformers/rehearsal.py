"""Rows that join, decode and leave on a miniature as in the engine, each logit compared with the truth."""

import torch

from agents.backends.transformers.cache import SlotCache
from agents.backends.transformers.decoder import Decoder, Mode
from agents.backends.transformers.miniature import Miniature
from agents.backends.transformers.truth import TOLERANCE, Fails, Truth, spread_error

BLOCK = 8
LENGTH = 40


class Rehearsal:
    """Rows that join, decode and leave as in the engine, each logit compared with the truth."""

    def __init__(self, small: Miniature, mode: Mode, inputs: torch.Tensor, truth: Truth) -> None:
        self.inputs, self.truth = inputs, truth
        self.decoder = Decoder(small.model, mode, inputs.device, BLOCK)
        self.cache = SlotCache(self.decoder.num_layers)
        # By slot: which row, and how many positions of it are in the cache.
        self.rows: list[list[int]] = []

    def play(self) -> None:
        """Play; raises Fails where a logit is not right."""
        length = self.inputs.shape[1]
        self.join(0, 5)
        self.join(1, max(1, min(19, length - 8)))
        self.step(2)
        self.join(2, max(1, min(33, length - 7)), shared=2 * BLOCK if length >= LENGTH else 0)
        self.step(3)
        self.leave(0)
        self.step(2)
        self.join(3, 7)
        self.step(1)
        self.leave(1)
        self.step(1)
        self.leave(0)
        self.step(2)

    def join(self, row: int, length: int, shared: int = 0) -> None:
        """Read a prompt into the next slot, its beginning copied from slot 1 if it is shared."""
        slot = len(self.rows)
        self.cache.reserve(slot + 1, self.inputs.shape[1])
        if self.decoder.crosses(length - 1, since=0):
            shared = 0
        if shared:
            self.cache.copy(1, slot, shared)
        logits = self.decoder.prefill(self.cache, slot, shared, self.inputs[row, shared:length])
        self.rows.append([row, length])
        self.check(row, length - 1, logits, "a prompt")

    def leave(self, slot: int) -> None:
        """Take a row out; the last one moves to its slot."""
        last = self.rows.pop()
        if slot < len(self.rows):
            self.cache.copy(len(self.rows), slot, last[1])
            self.rows[slot] = last

    def step(self, times: int) -> None:
        """Advance every row."""
        for _ in range(times):
            going = []
            for slot, (row, length) in enumerate(self.rows):
                if self.decoder.crosses(length, since=length):
                    logits = self.decoder.prefill(self.cache, slot, 0, self.inputs[row, : length + 1])
                    self.check(row, length, logits, "a row past the switch")
                else:
                    going.append(slot)
            rows, lengths = zip(*[self.rows[slot] for slot in going], strict=True) if going else ((), ())
            if going:
                positions = torch.tensor(lengths, device=self.inputs.device)
                slots = None if len(going) == len(self.rows) else going
                found = self.decoder.decode(self.cache, self.inputs[list(rows), positions], positions, slots=slots)
                for row, length, logits in zip(rows, lengths, found, strict=True):
                    self.check(row, length, logits, f"{len(rows)} rows at once" if len(rows) > 1 else "a row alone")
            for state in self.rows:
                state[1] += 1

    def check(self, row: int, position: int, logits: torch.Tensor, of: str) -> None:
        """Raise Fails where logits are not the row's after a position."""
        error = spread_error(logits, self.truth.at(row, position))
        if error > TOLERANCE:
            raise Fails(
                f"{of}: with the cache its logits after {position + 1} positions are off by {error:.2g} of their spread"
            )

    def stateless(self) -> str:
        """Return that layers wrote nothing to the cache, where that is so; else nothing."""
        without = sum(not layer.is_initialized for layer in self.cache.layers)
        if without == len(self.cache.layers):
            return "it keeps no key-value cache"
        return f"{without} of {len(self.cache.layers)} layers keep no key-value cache" if without else ""
