"""How wide must one layer be? A probe beside the universal approximation theorem of Gumaan (2025, arXiv:2507.10581).

One layer of self-attention with positions, then a ReLU network at each position, learns a map of three numbers from [−1, 1] that
mixes positions, y_i = sin(3 Σ_j |x_i − x_j|) x_(i+1). Errors are means over drawn points. The theorem says that some width has a
small largest error; it does not say that training finds it, how wide that is, or anything outside the compact domain, and no
sample shows a largest error. Its proof was not checked; Yun et al. (2020) and Kajitsuka and Sato (2024) have better known ones,
for deeper and for permutation-equivariant networks.

B points, D width of the attention, H width of the ReLU network.
"""

import math
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from agents.beliefs.claims import Claim, claims_of
from agents.models.in_context.claims import FRESH_SEED, Pairs
from agents.models.in_context.training import Recipe, fit
from agents.models.seeded import seeded
from agents.pretrained import Progress

POSITIONS, ATTENTION_WIDTH = 3, 32
WIDTHS = (4, 16, 64)
OUTSIDE = 2.0
"""Half the side of a cube twice as large as the one learned on."""
RECIPE = Recipe(steps=700, batch=256, learning_rate=5e-3, warmup=20)
FRESH = 20_000


class Layer(nn.Module):
    """One layer: y [B, 3] of x [B, 3]; without attention each position sees itself alone."""

    def __init__(self, width: int, *, has_attention: bool = True) -> None:
        super().__init__()
        self.read_in = nn.Linear(1 + POSITIONS, ATTENTION_WIDTH)
        self.qkv = nn.Linear(ATTENTION_WIDTH, 3 * ATTENTION_WIDTH) if has_attention else None
        self.mlp = nn.Sequential(nn.Linear(ATTENTION_WIDTH, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return y [B, 3]."""
        places = torch.eye(POSITIONS).expand(len(x), -1, -1)
        h = self.read_in(torch.cat([x[..., None], places], -1))
        if self.qkv is not None:
            q, k, v = self.qkv(h).chunk(3, -1)
            h = h + torch.softmax(q @ k.transpose(1, 2) / math.sqrt(ATTENTION_WIDTH), -1) @ v
        found: Tensor = self.mlp(h)[..., 0]
        return found


def target(x: Tensor) -> Tensor:
    """Return y [B, 3] of x [B, 3]; after the last position comes the first."""
    apart = (x[..., :, None] - x[..., None, :]).abs().sum(-1)
    return torch.sin(3 * apart) * x.roll(-1, -1)


def trained(width: int, *, has_attention: bool, seed: int) -> Layer:
    """Return a layer trained on points drawn from [−1, 1]³."""

    def loss(layer: Layer, generator: torch.Generator) -> Tensor:
        x = 2 * torch.rand(RECIPE.batch, POSITIONS, generator=generator) - 1
        found: Tensor = (layer(x) - target(x)).square().mean()
        return found

    return fit(seeded(lambda: Layer(width, has_attention=has_attention), seed), loss, RECIPE, seed=seed)


@torch.inference_mode()
def relative_error(layer: Layer, seed: int, *, reach: float = 1.0) -> float:
    """Return the mean squared error on fresh points of [−reach, reach]³, over the target's mean square there."""
    x = reach * (2 * torch.rand(FRESH, POSITIONS, generator=torch.Generator().manual_seed(seed)) - 1)
    y = target(x)
    return float((layer(x) - y).square().mean() / y.square().mean())


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return how the error falls with the width.

    Args:
        out: not needed; training takes seconds.
        seeds: training seeds, from 0.
        data: not needed; points are drawn.
        progress: told of each step that takes time.
    """
    del out, data
    figures: Pairs = {}
    for seed in range(seeds):
        progress(f"layers of {', '.join(map(str, WIDTHS))}, seed {seed}")
        layers = [trained(width, has_attention=True, seed=seed) for width in WIDTHS]
        blind = trained(WIDTHS[-1], has_attention=False, seed=seed)
        errors = [relative_error(layer, FRESH_SEED + seed) for layer in layers]
        for text, narrow, wide in zip(WIDER, errors[:-1], errors[1:], strict=True):
            figures.setdefault(text, []).append((-wide, -narrow))
        figures.setdefault(BLIND, []).append((relative_error(blind, FRESH_SEED + seed) / errors[-1], 5.0))
        figures.setdefault(FARTHER, []).append(
            (relative_error(layers[-1], FRESH_SEED + seed, reach=OUTSIDE), errors[-1])
        )
    return claims_of(figures, ASKED)


WIDER = tuple(f"relative error, negated: width {b} above width {a}" for a, b in pairwise(WIDTHS))
BLIND = "error without attention, over that with it, width 64: above 5"
FARTHER = "relative error on a cube twice as large: above that on the one learned on"
ASKED: dict[str, tuple[float | None, float | None]] = {
    **dict.fromkeys(WIDER, (0.0, None)),
    BLIND: (0.0, None),
    FARTHER: (0.2, None),
}
