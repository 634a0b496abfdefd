"""The patch-based autoencoder P-VQVAE (Liu et al., 2022, section 3.2; github liuqk3/PUT, patch_vqgan).

The encoder sees each patch by itself, so that nothing of a hidden pixel, nor of where the hole is, reaches another patch. The
decoder sees all vectors, and at each resolution takes in the place of what is known the features of the masked picture.

B batch, S side in pixels, N patches, C width of a code, F width of encoder and decoder.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.put.codebook import Codebook
from agents.models.put.config import PUTConfig

BLACK = -1.0
"""What stands where a pixel is hidden; pixels are from −1 to 1 inside."""


class LinearBlock(nn.Module):
    """x + W₂ relu(W₁ relu(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, width // 2), nn.Linear(width // 2, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., F] of [..., F]."""
        found: Tensor = x + self.up(functional.relu(self.down(functional.relu(x))))
        return found


class ConvBlock(nn.Module):
    """x + W₂ relu(W₁ relu(x)), W₁ over 3 x 3 patches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, width // 2, 3, padding=1), nn.Conv2d(width // 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, F, h, w] of [B, F, h, w]."""
        found: Tensor = x + self.up(functional.relu(self.down(functional.relu(x))))
        return found


class PatchEncoder(nn.Module):
    """A feature of each patch, of its pixels alone."""

    def __init__(self, config: PUTConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.first = nn.Linear(3 * config.patch**2, config.features)
        self.blocks = nn.ModuleList(LinearBlock(config.features) for _ in range(config.blocks))
        self.last = nn.Linear(config.features, config.features)
        self.out = nn.Linear(config.features, config.code_width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return [B, N, C] of pictures [B, 3, S, S] from −1 to 1; patches row by row."""
        x = self.first(functional.unfold(pictures, self.patch, stride=self.patch).transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.out(functional.relu(self.last(functional.relu(x))))
        return found


class Reference(nn.Module):
    """Features of the masked picture at each resolution of the decoder, the finest first."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        # Coarsest first as in the decoder, so that this goes backwards.
        finest_first = channels[::-1]
        self.layers = nn.ModuleList([nn.Conv2d(3, finest_first[0], 3, padding=1)])
        for before, after in pairwise(finest_first):
            self.layers.append(nn.Conv2d(before, after, 4, 2, 1))

    def forward(self, masked: Tensor) -> list[Tensor]:
        """Return the features of masked pictures [B, 3, S, S], the coarsest first, before any relu."""
        found, x = [], masked
        for layer in self.layers:
            found.append(layer(x))
            x = functional.relu(found[-1])
        return found[::-1]


class Decoder(nn.Module):
    """Vectors of patches to a picture."""

    def __init__(self, config: PUTConfig) -> None:
        super().__init__()
        halvings = config.patch.bit_length() - 1
        # Of each resolution, the coarsest first.
        channels = (config.features, *(config.base << power for power in reversed(range(halvings))))
        self.row = config.row
        self.enter = nn.Linear(config.code_width, config.code_width)
        self.first = nn.Conv2d(config.code_width, config.features, 3, padding=1)
        self.blocks = nn.ModuleList(ConvBlock(config.features) for _ in range(config.decoder_blocks))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(before, after, 4, 2, 1) for before, after in pairwise(channels))
        self.reference = Reference(channels)
        self.last = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, vectors: Tensor, masked: Tensor, hidden: Tensor) -> Tensor:
        """Return pictures [B, 3, S, S] from −1 to 1, or a little beyond.

        Args:
            vectors: [B, N, C].
            masked: pictures [B, 3, S, S], black where they are hidden.
            hidden: [B, S, S] bool.
        """
        x = self.first(self.enter(vectors).transpose(1, 2).unflatten(2, (self.row, self.row)))
        for block in self.blocks:
            x = block(x)
        known, seen = (~hidden)[:, None].to(x.dtype), self.reference(masked)
        for up, of_picture in zip(self.ups, seen, strict=False):
            x = up(functional.relu(_with_known(x, of_picture, known)))
        found: Tensor = self.last(functional.relu(_with_known(x, seen[-1], known)))
        return found


def _with_known(x: Tensor, of_picture: Tensor, known: Tensor) -> Tensor:
    """Return features with those of the picture where it is known, by the pixel at a cell's corner."""
    here = functional.interpolate(known, size=x.shape[-2:], mode="nearest")
    return x * (1 - here) + of_picture * here


class Autoencoder(nn.Module):
    """Encoder, codebook and decoder. Pictures are from 0 to 1 outside."""

    def __init__(self, config: PUTConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = PatchEncoder(config)
        self.codebook = Codebook(config.codes, config.hidden_codes, config.code_width)
        self.decoder = Decoder(config)

    def features(self, pictures: Tensor, hidden: Tensor) -> Tensor:
        """Return the features [B, N, C] of pictures [B, 3, S, S] of which some pixels are hidden [B, S, S] bool."""
        found: Tensor = self.encoder(masked(pictures, hidden))
        return found

    def codes(self, pictures: Tensor) -> Tensor:
        """Return the codes [B, N] of the patches of whole pictures [B, 3, S, S], of the K for known patches."""
        nothing = torch.zeros(len(pictures), *pictures.shape[2:], dtype=torch.bool)
        return self.quantised(self.features(pictures, nothing), self.known(nothing))[1]

    def quantised(self, features: Tensor, is_known: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors [B, N, C] and their places [B, N] of features [B, N, C]."""
        found = self.codebook(features, is_known)
        return found.vectors, found.places

    def known(self, hidden: Tensor) -> Tensor:
        """Return which patches are wholly known, [B, N] bool, of what is hidden [B, S, S] bool."""
        return ~functional.max_pool2d(hidden[:, None].float(), self.config.patch).bool().flatten(1)

    def decoded(self, vectors: Tensor, pictures: Tensor, hidden: Tensor) -> Tensor:
        """Return pictures [B, 3, S, S] from 0 to 1: what vectors [B, N, C] say where they are hidden, themselves elsewhere."""
        found = self.decoder(vectors, masked(pictures, hidden), hidden)
        return torch.where(hidden[:, None], ((found + 1) / 2).clamp(0, 1), pictures)


def masked(pictures: Tensor, hidden: Tensor) -> Tensor:
    """Return pictures [B, 3, S, S] from 0 to 1 as from −1 to 1, black where they are hidden [B, S, S]."""
    return (2 * pictures - 1).masked_fill(hidden[:, None], BLACK)
