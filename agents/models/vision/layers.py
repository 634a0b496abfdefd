"""Parts of vision transformers (Dosovitskiy et al., 2020, arXiv:2010.11929): patches, attention, pre-norm blocks.

Modules are named as in timm, so that official checkpoints are read by name. What is pooled is the class token.

B batch, H x W pixels, N tokens, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.errors import ConfigError

EPSILON = 1e-6
START = 0.02
# Side of a patch → kernel, stride and padding of three convolutions that see as much (CrossViT's dagger models).
STEMS = {12: ((7, 4, 3), (3, 3, 0), (3, 1, 1)), 16: ((7, 4, 3), (3, 2, 1), (3, 2, 1))}


class Mlp(nn.Module):
    """Two layers with GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] of [..., D]."""
        found: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return found


class Attention(nn.Module):
    """Everybody attends to everybody."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, N, D] of [B, N, D]."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found: Tensor = self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return found


class Block(nn.Module):
    """Pre-norm attention and feed-forward; `hidden` is four times the width by default."""

    def __init__(self, width: int, heads: int, hidden: int = 0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPSILON), nn.LayerNorm(width, eps=EPSILON)
        self.attn = Attention(width, heads)
        self.mlp = Mlp(width, hidden or 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, N, D] of [B, N, D]."""
        x = x + self.attn(self.norm1(x))
        found: Tensor = x + self.mlp(self.norm2(x))
        return found


class Patches(nn.Module):
    """Cuts pictures into square patches that do not overlap, each a token; row by row.

    Args:
        patch: side of a patch, in pixels.
        width: of a token.
        stem: three convolutions with ReLU between them in place of one.
    """

    def __init__(self, patch: int, width: int, *, stem: bool = False) -> None:
        super().__init__()
        if not stem:
            self.proj: nn.Module = nn.Conv2d(3, width, patch, patch)
            return
        if patch not in STEMS or width % 4:
            raise ConfigError(
                f"a stem of convolutions is of patches of {' or '.join(map(str, STEMS))} pixels, and of a width that is a "
                f"multiple of 4; got {patch} and {width}"
            )
        sizes, layers = (3, width // 4, width // 2, width), []
        for place, (kernel, stride, padding) in enumerate(STEMS[patch]):
            layers += [nn.Conv2d(sizes[place], sizes[place + 1], kernel, stride, padding), nn.ReLU()]
        self.proj = nn.Sequential(*layers[:-1])

    def forward(self, pixels: Tensor) -> Tensor:
        """Return tokens [B, N, D] of pictures [B, 3, H, W]."""
        found: Tensor = self.proj(pixels).flatten(2).transpose(1, 2)
        return found


def with_class(tokens: Tensor, own: Tensor, positions: Tensor) -> Tensor:
    """Return [B, 1 + N, D]: the class token [1, 1, D] before others [B, N, D], with positions [1, 1 + N, D]."""
    return torch.cat([own.expand(len(tokens), -1, -1), tokens], 1) + positions


def start(*shape: int) -> nn.Parameter:
    """Return a parameter of small random numbers, a normal distribution's of deviation 0.02, cut at ±2."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=START))


def begin(module: nn.Module) -> None:
    """Set the linear layers of a model to what published vision transformers begin with: deviation 0.02, biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=START)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
