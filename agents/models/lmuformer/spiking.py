"""The spiking network (Liu et al., 2024; github zeyuliu1037/LMUFormer, slmu_rnn_ms_conv1d).

Every convolution and linear map but the first reads spikes; what is added up past them are potentials, and the memory is
twice as large. The memory itself is what it was, by FFT over a sequence or step by step over what follows one; neurons keep
their potentials between frames. So a stream is the sequence, but for a spike that rounding moves over its threshold.

Convolutions look back only unless the config says `look_ahead`, as in `model.py`.
B batch, T frames, M bands, D width, K labels.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.neurons import Firing
from agents.models.lmuformer.stream import TAPS, State, Streamed

ENTRY_THRESHOLD = 0.5
"""Of the neurons before the memory; all others fire at 1."""


class SpikingLMUFormer(Streamed):
    """Scores of labels after every frame."""

    def __init__(self, config: LMUFormerConfig) -> None:
        super().__init__(config)
        width, wide = config.width, config.expansion * config.width
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

    def more(self, frames: Tensor, state: State) -> Tensor:
        """Return the scores [B, T, K] of more frames [B, T, M]; the state goes on."""
        config = self.config

        def fire(name: str, neurons: nn.Module, x: Tensor) -> Tensor:
            spikes, state.potentials[name] = neurons(x, state.potentials.get(name))
            found: Tensor = spikes
            return found

        x = frames.transpose(1, 2)
        for number, (layer, neurons) in enumerate(zip(self.embedding, self.fired, strict=True)):
            assert isinstance(layer, nn.Conv1d)
            potential = state.convolve(f"embedding {number}", layer, x, look_ahead=config.look_ahead)
            x = fire(f"embedding {number}", neurons, potential)
        x = potential + state.convolve("residual", self.residual, x, look_ahead=config.look_ahead)
        spikes = fire("entry", self.entry, x)
        signal = fire("signal", self.signal_fired, self.signal(spikes))
        held = state.remember(signal[:, 0], 2 * config.width, config.theta)
        memory = fire("memory", self.memory_fired, held.transpose(1, 2))
        hidden = fire("hidden", self.hidden_fired, self.hidden(torch.cat([memory, spikes], 1)))
        x = x + self.project(hidden)
        inner = x
        for number, (layer, neurons) in enumerate(zip(self.mixer, self.mixer_fired, strict=True)):
            inner = layer(fire(f"mixer {number}", neurons, inner))
        spikes = fire("head", self.head_fired, x + inner)
        scores: Tensor = self.head(spikes.transpose(1, 2))
        return scores
