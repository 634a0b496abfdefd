"""What both networks share: they go on from where they were, so that a stream is the sequence.

B batch, T frames, C channels, D width, M bands or memory, K labels.
"""

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.errors import BeliefError
from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.memory import convolved, stepped

TAPS = 3


@dataclass
class State:
    """What is remembered between frames."""

    past: dict[str, Tensor] = field(default_factory=dict)
    potentials: dict[str, Tensor] = field(default_factory=dict)
    memory: Tensor | None = None
    total: Tensor | None = None
    frames: int = 0

    def convolve(self, name: str, layer: nn.Conv1d, x: Tensor, *, look_ahead: bool) -> Tensor:
        """Return [B, C, T] of more frames [B, C', T]: of each and the two before it, or of its two neighbours."""
        if look_ahead:
            seen = functional.pad(x, (TAPS // 2, TAPS // 2))
        else:
            seen = torch.cat([self.past.get(name, x.new_zeros(*x.shape[:2], TAPS - 1)), x], -1)
            self.past[name] = seen[..., 1 - TAPS :]
        found: Tensor = layer(seen)
        return found

    def remember(self, signal: Tensor, size: int, theta: int) -> Tensor:
        """Return the memory after each of more frames [B, T, M], of a signal [B, T]."""
        if self.memory is None:
            found = convolved(signal, size, theta)
        else:
            rows = [self.memory]
            for now in signal.unbind(1):
                rows.append(stepped(rows[-1], now, theta))
            found = torch.stack(rows[1:], 1)
        self.memory = found[:, -1]
        return found


class Streamed(nn.Module):
    """Scores of labels after every frame."""

    def __init__(self, config: LMUFormerConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def more(self, frames: Tensor, state: State) -> Tensor:
        """Return the scores [B, T, K] of more frames [B, T, M]; the state goes on."""

    def forward(self, frames: Tensor) -> Tensor:
        """Return the scores of each frame [B, T, K] for log-mel frames [B, T, M]; a sequence's are their mean over frames."""
        return self.more(frames, State())

    def step(self, frame: Tensor, state: State) -> Tensor:
        """Return the scores [B, K] of everything heard so far, with one more frame [B, M]; the same as the mean of `forward`.

        Raises:
            BeliefError: the model looks ahead.
        """
        if self.config.look_ahead:
            raise BeliefError(
                "this LMUFormer looks ahead, as the paper's does, and has no stream; give it whole sounds"
            )
        scores = self.more(frame[:, None], state)[:, 0]
        state.total = scores if state.total is None else state.total + scores
        state.frames += 1
        return state.total / state.frames
