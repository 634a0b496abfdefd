"""The dual codebook (Liu et al., 2022, section 3.2): vectors for patches that are known, and others for those with a hidden part.

Vectors follow the features that fall to them by an exponential moving average (van den Oord et al., 2017, arXiv:1711.00937,
appendix A.1). To that is added what small sets of pictures need: a vector to which next to nothing falls begins anew at a
feature of the batch.

n features, K + M vectors of C numbers: K for known patches, M for others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

DECAY, EPSILON = 0.99, 1e-5
DEAD = 0.05
"""A vector begins anew below this share of what would fall to each if all were used alike."""


@dataclass(frozen=True)
class Quantised:
    """Features and the vectors nearest to them.

    Attributes:
        vectors: [..., C], the nearest; gradients pass to the features as they are (straight-through).
        places: [...], which they are of all K + M.
        commitment: mean square of features − vectors, which pulls features alone.
    """

    vectors: Tensor
    places: Tensor
    commitment: Tensor


class Codebook(nn.Module):
    """K vectors for patches that are known and M for others; without the latter the K serve both."""

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, codes: int, hidden_codes: int, width: int) -> None:
        super().__init__()
        self.codes, self.hidden_codes = codes, hidden_codes
        first = torch.randn(codes + hidden_codes, width)
        self.register_buffer("vectors", first)
        self.register_buffer("counts", torch.zeros(len(first)))
        self.register_buffer("sums", first.clone())

    def distances(self, features: Tensor, is_known: Tensor) -> Tensor:
        """Return the squared distances [..., K + M] of features [..., C]; infinite to vectors of the other half.

        Args:
            features: of patches.
            is_known: [...] bool, whether all of a patch is known.
        """
        found = (
            features.square().sum(-1, keepdim=True)
            + self.vectors.square().sum(-1)
            - 2 * functional.linear(features, self.vectors)
        )
        if not self.hidden_codes:
            return found
        is_for_known = torch.arange(len(self.vectors)) < self.codes
        return found.masked_fill(is_known[..., None] != is_for_known, torch.inf)

    def forward(self, features: Tensor, is_known: Tensor) -> Quantised:
        """Return the vectors nearest to features [..., C] in the half that is theirs, the first of equals."""
        places = self.distances(features, is_known).argmin(-1)
        nearest = self.vectors[places]
        commitment = (nearest - features).square().mean()
        return Quantised(features + (nearest - features).detach(), places, commitment)

    @torch.no_grad()
    def follow(self, features: Tensor, places: Tensor, *, decay: float = DECAY) -> None:
        """Move the vectors towards the features [n, C] that fell to them [n], by one step of the moving average."""
        chosen = functional.one_hot(places, len(self.vectors)).to(features.dtype)
        self.counts.mul_(decay).add_(chosen.sum(0), alpha=1 - decay)
        self.sums.mul_(decay).add_(chosen.T @ features, alpha=1 - decay)
        total = self.counts.sum()
        smoothed = (self.counts + EPSILON) / (total + len(self.counts) * EPSILON) * total
        self.vectors.copy_(self.sums / smoothed[:, None])

    @torch.no_grad()
    def revive(self, features: Tensor, is_known: Tensor, generator: torch.Generator) -> int:
        """Begin dead vectors anew at features [n, C] of their half that a generator draws, and return how many that were."""
        count = 0
        halves = [(0, self.codes, is_known if self.hidden_codes else torch.ones_like(is_known))]
        if self.hidden_codes:
            halves.append((self.codes, len(self.vectors), ~is_known))
        for start, end, own in halves:
            seen = features[own]
            if not len(seen):
                continue
            least = DEAD * len(seen) / (end - start)
            dead = start + (self.counts[start:end] < least).nonzero()[:, 0]
            drawn = seen[torch.randint(len(seen), (len(dead),), generator=generator)]
            # As if as much had fallen to each as to all alike, so that it has time to find its own.
            share = len(seen) / (end - start)
            self.vectors[dead], self.counts[dead], self.sums[dead] = drawn, share, share * drawn
            count += len(dead)
        return count
