"""Whether logits were beliefs, learnt from a GPU without waiting for it: the answer to a step is looked at in a later one."""

from collections import deque
from typing import Any

import torch
from torch import Tensor

from kernels.errors import InvalidBelief


class LaterCheck:
    """Answers that are on their way from the device, oldest first."""

    def __init__(self) -> None:
        self._coming: deque[tuple[Any, Tensor]] = deque()

    def checked(self, logits: Tensor, result: Tensor) -> Tensor:
        """Return a result of logits [n, V], whose largest entries are on their way to be looked at.

        Raises:
            InvalidBelief: rows of an earlier step held a NaN or +inf, or nothing but -inf.
        """
        while self._coming and self._coming[0][0].query():
            _, is_sound = self._coming.popleft()
            if not is_sound.tolist():
                raise InvalidBelief(
                    "logits of a text request held NaN or +inf, or nothing but -inf, some steps ago", ()
                )
        is_sound = torch.empty((), dtype=torch.bool, pin_memory=True)
        is_sound.copy_(torch.isfinite(logits.amax(dim=1)).all(), non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        self._coming.append((arrived, is_sound))
        return result
