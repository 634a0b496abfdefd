"""The network (Koutini et al., 2022; github kkoutini/PaSST, models/passt.py): a vision transformer over a spectrogram's patches.

Frequency and time have positions of their own, and both are added before patches are left out, so that a patch that stays
knows where it stands. Patches are left out in training only. Modules are named as in the official checkpoints.

B batch, M bands, T frames, F x C grid of patches, N tokens, D width, K labels.
"""

import torch
from torch import Tensor, nn

from agents.models.passt.config import PaSSTConfig
from agents.models.vision.layers import EPSILON, Block, start

TOKENS = 2  # class and distillation


class PaSST(nn.Module):
    """Scores of labels, of a spectrogram."""

    def __init__(self, config: PaSSTConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        rows, columns = config.grid
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, config.patch, config.stride)})
        self.cls_token, self.dist_token = start(1, 1, width), start(1, 1, width)
        self.new_pos_embed = start(1, TOKENS, width)
        self.freq_new_pos_embed, self.time_new_pos_embed = start(1, width, rows, 1), start(1, width, 1, columns)
        self.blocks = nn.Sequential(*(Block(width, config.heads) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, len(config.labels)))

    def forward(self, frames: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the scores [B, K] of spectrograms [B, M, T]; what is left out in training is drawn from the generator."""
        found: Tensor = self.head(self.embed(frames, generator))
        return found

    def embed(self, frames: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the mean of the class and the distillation token after the last block [B, D]."""
        x = self.positioned(frames, generator)
        if self.training:
            x = self.left(x, generator)
        else:
            x = x.flatten(2)
        x = x.transpose(1, 2)
        two = torch.cat([self.cls_token, self.dist_token], 1) + self.new_pos_embed
        x = self.norm(self.blocks(torch.cat([two.expand(len(x), -1, -1), x], 1)))
        found: Tensor = (x[:, 0] + x[:, 1]) / 2
        return found

    def positioned(self, frames: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the patches with their positions [B, D, F, C].

        A shorter sound has the first time positions, and in training any that follow each other; a longer one is cut.
        """
        x: Tensor = self.patch_embed["proj"](frames[:, None])
        known = self.time_new_pos_embed.shape[-1]
        x = x[..., :known]
        first, spare = 0, known - x.shape[-1]
        if self.training and spare:
            first = int(torch.randint(spare + 1, (1,), generator=generator))
        found: Tensor = x + self.time_new_pos_embed[..., first : first + x.shape[-1]] + self.freq_new_pos_embed
        return found

    def left(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return what patchout leaves [B, D, N] of patches [B, D, F, C]: whole columns go, whole rows, then any others."""

        def kept(count: int, dropped: int) -> Tensor:
            # A short sound keeps one column however many are to go.
            return torch.randperm(count, generator=generator)[: max(count - dropped, 1)].sort().values

        config = self.config
        x = x[..., kept(x.shape[3], config.drop_times)]
        x = x[:, :, kept(x.shape[2], config.drop_bands)].flatten(2)
        return x[..., kept(x.shape[2], config.drop_patches)]
