"""The network (Liu et al., 2024; github zeyuliu1037/LMUFormer, lmu_rnn_conv1d): patch embedding, memory, mixer, running mean.

Layer by layer that of the code. Convolutions over time are padded on the left alone, unless the config says `look_ahead`, where
the paper's are symmetric and so look five frames ahead: a belief after frame t has heard nothing later, and streaming is
exact. Depth 1, as published.

B batch, T frames, M bands, D width, K labels.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.lmuformer.config import LMUFormerConfig
from agents.models.lmuformer.memory import convolved
from agents.models.lmuformer.stream import TAPS, State, Streamed


class LMUFormer(Streamed):
    """Scores of labels after every frame."""

    def __init__(self, config: LMUFormerConfig) -> None:
        super().__init__(config)
        width = config.width
        sizes = [config.mels, *4 * [width]]
        self.embedding = nn.ModuleList(nn.Conv1d(a, b, TAPS, bias=False) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes[1:])
        self.residual = nn.Conv1d(width, width, TAPS, bias=False)
        self.signal = nn.Linear(width, 1)
        self.hidden = nn.Linear(2 * width, width)
        self.project = nn.Sequential(nn.Conv1d(width, width, 1), nn.BatchNorm1d(width))
        wide = config.expansion * width
        self.mixer = nn.Sequential(
            nn.Conv1d(width, wide, 1), nn.BatchNorm1d(wide), nn.GELU(),
            nn.Conv1d(wide, width, 1), nn.BatchNorm1d(width), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(width, len(config.labels))

    def more(self, frames: Tensor, state: State) -> Tensor:
        """Return the scores [B, T, K] of more frames [B, T, M]; the state goes on."""
        config, x = self.config, frames.transpose(1, 2)
        for number, (layer, norm) in enumerate(zip(self.embedding, self.norms, strict=True)):
            assert isinstance(layer, nn.Conv1d)
            heard = state.convolve(f"embedding {number}", layer, x, look_ahead=config.look_ahead)
            x = norm(functional.relu(heard))
        x = x + state.convolve("residual", self.residual, x, look_ahead=config.look_ahead)
        each = x.transpose(1, 2)
        memory = state.remember(functional.relu(self.signal(each))[..., 0], config.width, config.theta)
        hidden = functional.relu(self.hidden(torch.cat([memory, each], -1)))
        x = x + self.project(hidden.transpose(1, 2))
        x = x + self.mixer(x)
        found: Tensor = self.head(x.transpose(1, 2))
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
