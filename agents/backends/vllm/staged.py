"""Numbers that a step needs on the device, sent in one copy that nobody waits for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass
class Column:
    """Some numbers, which are on the device once their stage was sent."""

    numbers: np.ndarray  # [n] int64, or float64 seen as that
    is_real: bool
    sent: Tensor | None = field(default=None, repr=False)

    @property
    def tensor(self) -> Tensor:
        """[n] int64 or float64, on the device."""
        assert self.sent is not None, "the stage was not sent"
        return self.sent.view(torch.float64) if self.is_real else self.sent


class Staged:
    """Columns of numbers on their way to a device.

    Args:
        device: where to.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._columns: list[Column] = []

    def integers(self, numbers: Sequence[int]) -> Column:
        """Add integers of 64 bits."""
        return self._add(np.asarray(numbers, dtype=np.int64), is_real=False)

    def reals(self, numbers: Sequence[float]) -> Column:
        """Add numbers of double precision."""
        return self._add(np.asarray(numbers, dtype=np.float64).view(np.int64), is_real=True)

    def _add(self, numbers: np.ndarray, *, is_real: bool) -> Column:
        self._columns.append(column := Column(numbers, is_real))
        return column

    def send(self) -> None:
        """Send all columns."""
        if not self._columns:
            return
        host = torch.from_numpy(np.concatenate([column.numbers for column in self._columns]))
        if self._device.type == "cuda":
            # torch keeps pinned memory until the copy is over.
            host = host.pin_memory()
        sent = host.to(self._device, non_blocking=True)
        parts = torch.split(sent, [len(column.numbers) for column in self._columns])
        for column, part in zip(self._columns, parts, strict=True):
            column.sent = part
        self._columns = []
