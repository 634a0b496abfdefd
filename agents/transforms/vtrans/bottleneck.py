"""Random factors of heads, units and layers, z = μ + σ ε, and what they let through.

The variational information bottleneck of Dai et al. (2018, arXiv:1802.10399), as VTrans (Dutta et al., 2024, arXiv:2406.05276)
puts it on a transformer's structures. L layers, G heads and F units a layer, B rows.
"""

import torch
from torch import Tensor, nn

from agents.transforms.optin.search import Masks
from agents.transforms.units import Shape

MEAN, LOG_VARIANCE, SPREAD = 1.0, -9.0, 0.01
STEEPNESS = 10.0
# So that a factor that has come to 0 has a finite log α.
LEAST = 1e-8


class Factors(nn.Module):
    """Factors of things of one kind: μ and log σ² of each, drawn near 1 and -9.

    Args:
        sizes: how many, e.g. (L, G).
        draw: what they are drawn by.
    """

    def __init__(self, sizes: tuple[int, ...], draw: torch.Generator) -> None:
        super().__init__()
        self.mean = nn.Parameter(MEAN + SPREAD * torch.randn(sizes, generator=draw))
        self.log_variance = nn.Parameter(LOG_VARIANCE + SPREAD * torch.randn(sizes, generator=draw))

    @property
    def log_alpha(self) -> Tensor:
        """log σ² - log μ² of each: above 0 there is more noise than factor, and it can go."""
        return self.log_variance - torch.log(self.mean.square() + LEAST)

    def drawn(self, rows: int, draw: torch.Generator) -> Tensor:
        """Return μ + σ ε [B, ...], with a draw of its own for each row."""
        noise = torch.randn((rows, *self.mean.shape), generator=draw)
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def information(self) -> Tensor:
        """Return the bound Σ ½ log(1 + μ²/σ²), in nats."""
        return 0.5 * nn.functional.softplus(-self.log_alpha).sum()

    def staying(self) -> Tensor:
        """Return how far each counts as staying, sigmoid(-10 log α)."""
        return torch.sigmoid(-STEEPNESS * self.log_alpha)


class Bottleneck(nn.Module):
    """Factors of every head and unit, and of each layer's attention and feed-forward part as a whole."""

    def __init__(self, shape: Shape, seed: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.shape = shape
        self.heads = Factors((shape.layers, shape.heads), draw)
        self.units = Factors((shape.layers, shape.units), draw)
        self.attention, self.feed_forward = (Factors((shape.layers,), draw) for _ in range(2))

    def drawn(self, rows: int, draw: torch.Generator) -> tuple[list[Tensor], list[Tensor]]:
        """Return for each layer random factors of heads [B, 1, G] and of units [B, 1, F]."""
        heads, units, attention, feed_forward = (
            one.drawn(rows, draw) for one in (self.heads, self.units, self.attention, self.feed_forward)
        )
        return (
            [part[:, None] for part in (heads * attention[..., None]).unbind(1)],
            [part[:, None] for part in (units * feed_forward[..., None]).unbind(1)],
        )

    def means(self, masks: Masks) -> tuple[Tensor, Tensor]:
        """Return the factors without noise of heads [L, G] and units [L, F], 0 of what is masked."""
        return (
            self.heads.mean * self.attention.mean[:, None] * masks.heads,
            self.units.mean * self.feed_forward.mean[:, None] * masks.units,
        )

    def information(self) -> Tensor:
        """Return the bound of all factors, over their number: nats a factor."""
        parts = (self.heads, self.units, self.attention, self.feed_forward)
        total = torch.stack([part.information() for part in parts]).sum()
        return total / sum(part.mean.numel() for part in parts)

    def expected_macs(self, positions: int) -> Tensor:
        """Return the share of the blocks' multiply-accumulates that is expected to stay, over T positions."""
        shape = self.shape
        heads = self.heads.staying() * self.attention.staying()[:, None]
        units = self.units.staying() * self.feed_forward.staying()[:, None]
        kept = heads.sum() * shape.head_macs(positions) + units.sum() * shape.unit_macs(positions)
        return kept / shape.macs(positions)

    @torch.no_grad()
    def masks(self, positions: int, budget: int) -> Masks:
        """Return what stays within a budget: those of the lowest log α, or of their layer's where that is higher."""
        shape = self.shape
        heads = torch.maximum(self.heads.log_alpha, self.attention.log_alpha[:, None])
        units = torch.maximum(self.units.log_alpha, self.feed_forward.log_alpha[:, None])
        costs = [shape.head_macs(positions)] * heads.numel() + [shape.unit_macs(positions)] * units.numel()
        kept = torch.zeros(len(costs), dtype=torch.bool)
        for place in torch.cat([heads.flatten(), units.flatten()]).argsort(stable=True).tolist():
            if costs[place] <= budget:
                kept[place], budget = True, budget - costs[place]
        return Masks(kept[: heads.numel()].view(heads.shape), kept[heads.numel() :].view(units.shape))
