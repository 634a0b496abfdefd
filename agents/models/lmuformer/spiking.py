"""The spiking network (Liu et al., 2024; github zeyuliu1037/LMUFormer, slmu_rnn_ms_conv1d).

Every convolution and linear map but the first reads spikes; what is added up past them are potentials, and the memory is
twice as large. The memory itself is what it was, by FFT over a sequence or step by step over what follows one; neurons keep
their potentials between frames. So a stream is the sequence, but for a spike that rounding moves over its threshold.

Convolutions look back only, as in `model.py`; all four are as wide as the model, as in that code and not as there.
B batch, T frames, M bands, D width, K labels.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.memory import convolved, stepped
from agents.models.lmuformer.model import TAPS, State
from agents.models.lmuformer.neurons import Firing

ENTRY_THRESHOLD = 0.5
"""Of the neurons before the memory; all others fire at 1."""


class SpikingLMUFormer(nn.Module):
    """Scores of labels after every frame."""

    def __init__(self, config: LMUFormerConfig) -> None:
        super().__init__()
        self.config, width, wide = config, config.width, config.expansion * config.width
        # As wide as the rest from the beginning: so few bits as an eighth of the width has would tell too little of a frame.
        sizes = [config.mels, *4 * [width]]
        self.embedding = nn.ModuleList(nn.Conv1d(a, b, TAPS, bias=False) for a, b in pairwise(sizes))
        self.fired = nn.ModuleList(Firing(size) for size in sizes[1:])
        self.residual = nn.Conv1d(width, width, TAPS, bias=False)
        self.entry = Firing(width, threshold=ENTRY_THRESHOLD)
        self.signal, self.signal_fired = nn.Conv1d(width, 1, 1), Firing(1)
        self.memory_fired = Firing(2 * width)
        self.hidden, self.hidden_fired = nn.Conv1d(3 * width, width, 1), Firing(width)
        self.project = nn.Sequential(nn.Conv1d(width, width, 1), nn.BatchNorm1d(width))
        self.mixer_fired = nn.ModuleList((Firing(width), Firing(wide)))
        self.mixer = nn.ModuleList((nn.Conv1d(width, wide, 1), nn.Conv1d(wide, width, 1)))
        self.head_fired, self.head = Firing(width), nn.Linear(width, len(config.labels))

    def forward(self, frames: Tensor) -> Tensor:
        """Return the scores of each frame [B, T, K] for log-mel frames [B, T, M]; a sequence's are their mean over frames."""
        return self._more(frames, State())

    def step(self, frame: Tensor, state: State) -> Tensor:
        """Return the scores [B, K] of everything heard so far, with one more frame [B, M]; the same as the mean of `forward`."""
        scores = self._more(frame[:, None], state)[:, 0]
        state.total = scores if state.total is None else state.total + scores
        state.frames += 1
        return state.total / state.frames

    def _more(self, frames: Tensor, state: State) -> Tensor:
        """Return the scores [B, T, K] of more frames [B, T, M]; the state goes on."""

        def fire(name: str, neurons: nn.Module, x: Tensor) -> Tensor:
            spikes, state.potentials[name] = neurons(x, state.potentials.get(name))
            found: Tensor = spikes
            return found

        def convolve(name: str, layer: nn.Module, x: Tensor) -> Tensor:
            past = state.past.get(name, x.new_zeros(*x.shape[:2], TAPS - 1))
            seen = torch.cat([past, x], -1)
            state.past[name] = seen[..., 1 - TAPS :]
            found: Tensor = layer(seen)
            return found

        x = frames.transpose(1, 2)
        for number, (layer, neurons) in enumerate(zip(self.embedding, self.fired, strict=True)):
            potential = convolve(f"embedding {number}", layer, x)
            x = fire(f"embedding {number}", neurons, potential)
        x = potential + convolve("residual", self.residual, x)
        spikes = fire("entry", self.entry, x)
        signal = fire("signal", self.signal_fired, self.signal(spikes))
        memory = fire("memory", self.memory_fired, self._remembered(signal[:, 0], state).transpose(1, 2))
        hidden = fire("hidden", self.hidden_fired, self.hidden(torch.cat([memory, spikes], 1)))
        x = x + self.project(hidden)
        inner = x
        for number, (layer, neurons) in enumerate(zip(self.mixer, self.mixer_fired, strict=True)):
            inner = layer(fire(f"mixer {number}", neurons, inner))
        spikes = fire("head", self.head_fired, x + inner)
        scores: Tensor = self.head(spikes.transpose(1, 2))
        return scores

    def _remembered(self, signal: Tensor, state: State) -> Tensor:
        """Return the memory after each frame [B, T, 2 D], of spikes [B, T]."""
        size, theta = 2 * self.config.width, self.config.theta
        if state.memory is None:
            found = convolved(signal, size, theta)
        else:
            rows = [state.memory]
            for now in signal.unbind(1):
                rows.append(stepped(rows[-1], now, theta))
            found = torch.stack(rows[1:], 1)
        state.memory = found[:, -1]
        return found
