"""One head a channel, linear, over standardised columns; then a trained pool of their beliefs.

A head of grades is McCullagh's proportional odds (1980): p(y ≤ k) = σ(θ_k − w · x), θ ascending. Otherwise softmax(W x + b).
The paper's blocks are z-scored on the training fold and concatenated for boosted trees; here each has its own belief.

B cases, F columns, M channels, K labels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.fusion.config import FusionConfig
from agents.models.fusion.pool import TrainedPool

WIDEST = 5.0
"""Standard deviations beyond which a column is cut: one wild measurement is no evidence without bound."""


class Head(nn.Module):
    """One channel's log belief [B, K] of its columns [B, F].

    Args:
        columns: F.
        labels: K.
        ordered: whether labels are grades.
    """

    temperature: Tensor

    def __init__(self, columns: int, labels: int, *, ordered: bool = False) -> None:
        super().__init__()
        self.ordered = ordered
        wide = torch.float64
        self.weight = nn.Parameter(torch.zeros(1 if ordered else labels, columns, dtype=wide))
        # Of grades: the lowest cutpoint, and by how much each is above the one before, before softplus.
        self.offset = nn.Parameter(torch.zeros(labels - 1 if ordered else labels, dtype=wide))
        self.register_buffer("temperature", torch.ones((), dtype=wide))

    @property
    def cutpoints(self) -> Tensor:
        """θ [K − 1], ascending."""
        rising = functional.softplus(self.offset[1:])
        return torch.cat([self.offset[:1], self.offset[:1] + rising.cumsum(0)])

    def forward(self, x: Tensor) -> Tensor:
        """Return log p at the head's temperature, p^(1/T) renormalised."""
        scores = x @ self.weight.T
        logs = grades(scores[:, 0], self.cutpoints) if self.ordered else torch.log_softmax(scores + self.offset, -1)
        return torch.log_softmax(logs / self.temperature, -1)


def grades(score: Tensor, cutpoints: Tensor) -> Tensor:
    """Return the log probabilities [B, K] of grades between ascending cutpoints [K − 1], of scores [B]."""
    above = cutpoints - score[:, None]
    far = torch.full_like(score[:, None], torch.inf)
    low, high = torch.cat([-far, above], 1), torch.cat([above, far], 1)
    # σ(high) − σ(low), of which the smaller tails are taken, so that nothing is lost far out.
    is_right = low > 0
    a, b = torch.where(is_right, -high, low), torch.where(is_right, -low, high)
    return (torch.sigmoid(b) - torch.sigmoid(a)).clamp_min(1e-12).log()


class FusionModel(nn.Module):
    """Columns [B, F] → log beliefs of channels [B, M, K], and what they come to [B, K].

    Args:
        config: labels and channels.
    """

    middle: Tensor
    spread: Tensor

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        labels = len(config.labels)
        self.heads = nn.ModuleList(
            Head(len(columns), labels, ordered=config.ordered) for columns in config.channels.values()
        )
        self.pool = TrainedPool(tuple(config.channels), config.labels, ordered=config.ordered)
        self.register_buffer("middle", torch.zeros(len(config.columns), dtype=torch.float64))
        self.register_buffer("spread", torch.ones(len(config.columns), dtype=torch.float64))

    def standardised(self, columns: Tensor) -> Tensor:
        """Return columns [B, F] by the mean and deviation of the training's, in float64."""
        return ((columns.double() - self.middle) / self.spread).clamp(-WIDEST, WIDEST)

    def beliefs(self, standard: Tensor) -> Tensor:
        """Return each channel's belief [B, M, K] of standardised columns."""
        parts = [standard[:, place] for place in self.config.places.values()]
        return torch.stack([head(part) for head, part in zip(self.heads, parts, strict=True)], 1).exp()

    def forward(self, standard: Tensor, heard: Tensor) -> Tensor:
        """Return the log belief [B, K] of standardised columns [B, F] and the channels that are there [B, M]."""
        found: Tensor = self.pool(self.beliefs(standard), heard)
        return found


def broken(standard: Tensor, places: slice, level: float, generator: torch.Generator) -> Tensor:
    """Return standardised columns [B, F] with normal noise of `level` deviations added to one channel's, cut as they are."""
    found = standard.clone()
    part = found[:, places]
    noise = torch.randn(part.shape, generator=generator, dtype=part.dtype)
    found[:, places] = (part + level * noise).clamp(-WIDEST, WIDEST)
    return found
