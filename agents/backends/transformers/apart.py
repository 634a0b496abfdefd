"""Rows that are worked on apart: what they hear is adapted, their text is searched for, or they are said by blocks.

One of them is worked on at a time, by one piece between two steps of the others: a step of its adaptation or search, or a block.
So the others go on meanwhile, and one that is cancelled is through before its next piece. A piece computes nothing for, and
takes nothing from, a row that is not its own.
"""

from collections import deque
from collections.abc import Callable, Iterator

import torch

from agents.backends.transformers.by_blocks import Answer, say_by_blocks
from agents.backends.transformers.cache import SlotCache
from agents.backends.transformers.model import LoadedModel
from agents.backends.transformers.row import Row, take_ended
from agents.backends.transformers.searching import search

Read = Callable[[Row, int, int], torch.Tensor]


class Apart:
    """The rows that are worked on apart, first come, first served; those that `takes` says yes to are put into `waiting`.

    Args:
        model, cache: of the engine.
        slot: the first slot that no running row has: the prompt of a searched row is read into it, and its prefixes stand
            behind it.
        read: a row, its slot and the number of slots in use → the logits [V] after its prompt, which it reads into the slot.
        answer: turns the logits [n, V] of rows into the next step of each.
    """

    def __init__(self, model: LoadedModel, cache: SlotCache, slot: int, read: Read, answer: Answer) -> None:
        self._model, self._cache, self._slot, self._read, self._answer = model, cache, slot, read, answer
        self.waiting: deque[Row] = deque()
        self.row: Row | None = None
        self._pieces: Iterator[None] = iter(())

    @staticmethod
    def takes(row: Row) -> bool:
        """Whether a row is to be worked on apart before it can be admitted, or instead."""
        return row.heard is not None or row.beam is not None or row.blocks is not None

    @property
    def rows(self) -> list[Row]:
        """Every row that is here, the one under way first."""
        return [*([] if self.row is None else [self.row]), *self.waiting]

    def clear(self) -> None:
        """Forget every row."""
        self.waiting.clear()
        self.row, self._pieces = None, iter(())

    def step(self) -> list[Row]:
        """Do one piece of the row under way and return the rows that are through: those that ended, and those to be admitted."""
        through = [row for row in (self.row,) if row is not None and row.finish is not None]
        through += take_ended(self.waiting)
        if self.row is None or self.row in through:
            self.row = self.waiting.popleft() if self.waiting else None
            self._pieces = iter(()) if self.row is None else self._worked_on(self.row)
        if self.row is not None and next(self._pieces, self) is self:
            through.append(self.row)
            self.row, self._pieces = None, iter(())
        return through

    def _worked_on(self, row: Row) -> Iterator[None]:
        if row.heard is not None:
            try:
                row.prompt = yield from row.heard.adapting(self._model, row.prompt, row.request.adapter)
            except ArithmeticError as error:
                row.fail(str(error))
            row.heard = None
        elif row.beam is not None:
            logits = self._read(row, self._slot, self._slot + 1)
            yield from search(self._model, self._cache, row, row.beam, logits, self._slot)
        elif row.blocks is not None:
            logits = self._read(row, self._slot, self._slot + 1)
            yield from say_by_blocks(self._model, self._cache, row, row.blocks, logits, self._slot, self._answer)
