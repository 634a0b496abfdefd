"""The un-quantised transformer (Liu et al., 2022, section 3.3; github liuqk3/PUT, `…_transformer_in_feature`).

It reads features of patches as the encoder made them, and not the codebook's vectors nearest to them, so that no information is
lost on the way in; what it believes of a hidden patch is over the codebook.

B batch, N patches, C width of a code, D width, K codes.
"""

import torch
from torch import Tensor, nn

from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.layers import Attention
from agents.models.put.autoencoder import Autoencoder
from agents.models.put.config import PUTConfig
from agents.models.vision.layers import begin

STEEP = 1.702


class Block(nn.Module):
    """Pre-norm attention and feed-forward, with x · σ(1.702 x) between its maps."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(EncoderConfig(width, 1, heads, width // heads, 4 * width))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, N, D] of [B, N, D]."""
        x = x + self.attention(self.norm1(x))
        h = self.up(self.norm2(x))
        found: Tensor = x + self.down(h * torch.sigmoid(STEEP * h))
        return found


class PUT(nn.Module):
    """A belief over codes at every patch, and the autoencoder whose codes they are."""

    def __init__(self, config: PUTConfig) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = Autoencoder(config)
        self.enter = nn.Linear(config.code_width, config.width)
        self.positions = nn.Parameter(torch.zeros(1, config.count, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.norm, self.head = nn.LayerNorm(config.width), nn.Linear(config.width, config.codes)
        for part in (self.enter, self.blocks, self.head):
            begin(part)

    def forward(self, seen: Tensor) -> Tensor:
        """Return the scores [B, N, K] of what stands at each patch, of features or vectors [B, N, C]."""
        x = self.enter(seen) + self.positions
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.head(self.norm(x))
        return found

    def seen(self, pictures: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the transformer reads [B, N, C] of pictures of which a part is hidden, and which patches are known [B, N].

        Features as they are; of a config that says `quantised`, the vectors nearest to them, of hidden patches too.
        """
        features, is_known = self.autoencoder.features(pictures, hidden), self.autoencoder.known(hidden)
        if self.config.quantised:
            features = self.autoencoder.quantised(features, is_known)[0]
        return features, is_known

    @property
    def trained(self) -> list[nn.Parameter]:
        """The transformer's parameters, which are trained while the autoencoder stays as it is."""
        own = set(self.autoencoder.parameters())
        return [each for each in self.parameters() if each not in own]
