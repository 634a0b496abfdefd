"""The training loss of KaLM-Embedding-V2: InfoNCE with focal weights and mixed hard negatives, over Matryoshka prefixes.

Prefixes, their weights and the temperature are those of github HITsz-TMG/KaLM-Embedding (train/losses.py, scipts/train.sh); the
published code has neither the focal weight nor mixing, which are our reading of the paper's description. B queries, M hard
negatives of each, D width; vectors have length 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agents.errors import ConfigError
from agents.models.sentences.contrastive import candidate_logits, info_nce, prefix

PUBLISHED_TEMPERATURE = 0.01
PUBLISHED_WEIGHTS = (1.0, 0.3, 0.2, 0.1, 0.1)
"""Of the published run's prefixes, 896, 512, 256, 128 and 64 numbers."""


@dataclass(frozen=True)
class Loss:
    """What the loss has in it.

    Attributes:
        dims: lengths of the prefixes, over which it is summed.
        weights: of the prefixes; all 1 by default.
        temperature: of the cosines.
        gamma: of the focal weight (1 - p)^gamma; 0 for plain InfoNCE.
        mixing: whether hard negatives are mixed to further ones.
    """

    dims: tuple[int, ...]
    temperature: float = 0.05
    gamma: float = 0.5
    mixing: bool = True
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.weights and len(self.weights) != len(self.dims):
            raise ConfigError(f"a weight a prefix: {len(self.dims)} prefixes and {len(self.weights)} weights")

    def __call__(
        self, queries: Tensor, positives: Tensor, negatives: Tensor, groups: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of vectors [B, D], [B, D], [B, M, D], of any length; groups as in `candidate_logits`."""
        total = queries.new_zeros(())
        for dim, weight in zip(self.dims, self.weights or (1.0,) * len(self.dims), strict=True):
            q, p, n = (prefix(vectors, dim) for vectors in (queries, positives, negatives))
            against = [n.flatten(0, 1)]
            if self.mixing:
                against += [mixed_pairs(n, generator).flatten(0, 1), mixed_list(q, n, self.temperature)]
            logits = candidate_logits(q, p, torch.cat(against), temperature=self.temperature, groups=groups)
            total = total + weight * focal(logits, self.gamma)
        return total


def focal(logits: Tensor, gamma: float) -> Tensor:
    """Return mean_i (1 - p_i)^gamma l_i, where l_i = -log p_i; the weight is a number, through which nothing is learned."""
    each = info_nce(logits)
    weights = (1 - (-each).exp()).clamp_min(0).detach() ** gamma
    return (weights * each).mean()


def mixed_pairs(negatives: Tensor, generator: torch.Generator) -> Tensor:
    """Return norm(λ n_m + (1 - λ) n_m+1) [B, M, D] for each hard negative and the next of the same query, λ uniform in 0 to 1."""
    shares = torch.rand(negatives.shape[:2], generator=generator)[..., None].to(negatives.dtype)
    return functional.normalize(shares * negatives + (1 - shares) * negatives.roll(1, 1), dim=-1)


def mixed_list(queries: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Return norm(Σ_m softmax(q · n_m / temperature) n_m) [B, D]: all hard negatives of a query, the harder the more."""
    shares = torch.softmax((queries[:, None] * negatives).sum(-1) / temperature, 1)
    return functional.normalize((shares[..., None] * negatives).sum(1), dim=-1)


def soup(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of checkpoints' weights (Wortsman et al., 2022), averaged in float64.

    Raises:
        ConfigError: none, or not the same names.
    """
    if not states or any(state.keys() != states[0].keys() for state in states):
        raise ConfigError("a soup is made of checkpoints with the same names, at least one")
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(first.dtype)
        for name, first in states[0].items()
    }
