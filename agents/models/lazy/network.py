"""A small network of feed-forward blocks with ReLUs, of which each layer may keep its k largest activations alone.

B batch, F units of a block, D width, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.errors import ConfigError
from agents.largest import keep_largest


@dataclass(frozen=True)
class LazyConfig:
    """Sizes of the network.

    Attributes:
        inputs: numbers of a picture.
        classes: K.
        width: D.
        units: F.
        blocks: how many.
        kept: k, the units that stay; None: all.
    """

    inputs: int = 64
    classes: int = 10
    width: int = 64
    units: int = 512
    blocks: int = 2
    kept: int | None = None

    def __post_init__(self) -> None:
        if min(self.inputs, self.classes, self.width, self.units, self.blocks) < 1:
            raise ConfigError(f"sizes of a network are at least 1; got {self}")
        if self.kept is not None and not 1 <= self.kept <= self.units:
            raise ConfigError(f"kept is from 1 to the {self.units} units of a block, or left out; got {self.kept}")


class Block(nn.Module):
    """x + down(keep_k(relu(up(norm(x))))): the threshold stands behind the ReLU, so that nothing negative comes back."""

    def __init__(self, config: LazyConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.up, self.down = nn.Linear(config.width, config.units), nn.Linear(config.units, config.width)
        self.kept = config.units if config.kept is None else config.kept

    def activations(self, x: Tensor) -> Tensor:
        """Return what the last map reads [B, F]."""
        return keep_largest(torch.relu(self.up(self.norm(x))), self.kept)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, D] of [B, D]."""
        found: Tensor = x + self.down(self.activations(x))
        return found


class LazyNetwork(nn.Module):
    """Scores of classes: a map in, blocks, a norm, and a map out."""

    def __init__(self, config: LazyConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(config.inputs, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.leave = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, config.classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return scores [B, K] of pictures [B, inputs]."""
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.leave(x)
        return found

    @torch.no_grad()
    def non_zero(self, x: Tensor) -> float:
        """Return the share of activations of all blocks that are not zero, over pictures [B, inputs]."""
        x = self.enter(x)
        shares = []
        for block in self.blocks:
            assert isinstance(block, Block)
            shares.append((block.activations(x) > 0).float().mean())
            x = block(x)
        return float(torch.stack(shares).mean())
