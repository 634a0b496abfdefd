"""The network (Liu et al., 2024; github zeyuliu1037/LMUFormer, not spiking): patch embedding, memory, mixer, running mean.

Convolutions over time are padded on the left alone, where the paper's are symmetric and so look four frames ahead: here
a belief after frame t has heard nothing later, and streaming is exact. Depth 1, as published.

B batch, T frames, M bands, D width, K labels.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.memory import convolved, stepped

TAPS = 3


class CausalConv(nn.Module):
    """Conv1d of three taps that ends at the present frame, ReLU, batch norm."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, TAPS)
        self.norm = nn.BatchNorm1d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, T] of [B, C', T]."""
        found: Tensor = self.norm(functional.relu(self.conv(functional.pad(x, (TAPS - 1, 0)))))
        return found

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frame [B, C, 1] and what it must remember, for a frame [B, C', 1] and the two before it."""
        seen = torch.cat([past, x], -1)
        return self.norm(functional.relu(self.conv(seen))), seen[..., 1:]


@dataclass
class State:
    """What is remembered between frames."""

    past: dict[str, Tensor] = field(default_factory=dict)
    potentials: dict[str, Tensor] = field(default_factory=dict)
    memory: Tensor | None = None
    total: Tensor | None = None
    frames: int = 0


class LMUFormer(nn.Module):
    """Scores of labels after every frame."""

    def __init__(self, config: LMUFormerConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        sizes = [config.mels, width // 8, width // 4, width // 2, width]
        self.embedding = nn.ModuleList(CausalConv(a, b) for a, b in pairwise(sizes))
        self.residual = CausalConv(width, width)
        self.signal = nn.Linear(width, 1)
        self.hidden = nn.Linear(2 * width, width)
        self.project = nn.Sequential(nn.Conv1d(width, width, 1), nn.BatchNorm1d(width))
        wide = config.expansion * width
        self.mixer = nn.Sequential(
            nn.Conv1d(width, wide, 1), nn.BatchNorm1d(wide), nn.GELU(), nn.Conv1d(wide, width, 1), nn.BatchNorm1d(width)
        )
        self.head = nn.Linear(width, len(config.labels))

    def forward(self, frames: Tensor) -> Tensor:
        """Return the scores of each frame [B, T, K] for log-mel frames [B, T, M]; a sequence's are their mean over frames."""
        x = frames.transpose(1, 2)
        for layer in self.embedding:
            x = layer(x)
        x = (x + self.residual(x)).transpose(1, 2)
        memory = convolved(self._signal(x), self.config.width, self.config.theta)
        return self._after(x, memory)

    def step(self, frame: Tensor, state: State) -> Tensor:
        """Return the scores [B, K] of everything heard so far, with one more frame [B, M]; the same as the mean of `forward`."""
        x = frame[..., None]
        for number, layer in enumerate(self.embedding):
            x = self._convolved(layer, x, f"embedding {number}", state)
        x = (x + self._convolved(self.residual, x, "residual", state)).transpose(1, 2)
        if state.memory is None:
            state.memory = frame.new_zeros(len(frame), self.config.width)
        state.memory = stepped(state.memory, self._signal(x)[:, 0], self.config.theta)
        scores = self._after(x, state.memory[:, None])[:, 0]
        state.total = scores if state.total is None else state.total + scores
        state.frames += 1
        return state.total / state.frames

    def _signal(self, x: Tensor) -> Tensor:
        """Return what is remembered [B, T], of frames [B, T, D]."""
        return functional.relu(self.signal(x))[..., 0]

    def _after(self, x: Tensor, memory: Tensor) -> Tensor:
        hidden = functional.relu(self.hidden(torch.cat([memory, x], -1)))
        x = x.transpose(1, 2) + self.project(hidden.transpose(1, 2))
        x = x + self.mixer(x)
        found: Tensor = self.head(x.transpose(1, 2))
        return found

    @staticmethod
    def _convolved(layer: nn.Module, x: Tensor, name: str, state: State) -> Tensor:
        assert isinstance(layer, CausalConv)
        past = state.past.get(name)
        if past is None:
            past = x.new_zeros(*x.shape[:2], TAPS - 1)
        found, state.past[name] = layer.step(x, past)
        return found


class BareLMU(nn.Module):
    """The baseline: the memory alone, without convolutions and mixer (Voelker et al., 2019), on the same frames."""

    def __init__(self, config: LMUFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.signal, self.hidden = nn.Linear(config.mels, 1), nn.Linear(config.width + config.mels, config.width)
        self.head = nn.Linear(config.width, len(config.labels))

    def forward(self, frames: Tensor) -> Tensor:
        """Return the scores of each frame [B, T, K]."""
        memory = convolved(functional.relu(self.signal(frames))[..., 0], self.config.width, self.config.theta)
        found: Tensor = self.head(functional.relu(self.hidden(torch.cat([memory, frames], -1))))
        return found
