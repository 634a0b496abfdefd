"""A pool of beliefs with weights that are learned: by how sure each is and how far from the others, missing ones left out.

With beliefs p_m over labels k and a prior π, what M channels say together is

    z_k = log π_k + Σ_m w_m log( ((1 − ε_m) p_mk + ε_m π_k) / π_k ),    w_m = softplus(a_m + b_m s_m + c_m d_m),
    p = softmax(z / T),

over the channels that are heard. ε_m is how often channel m says nothing of the case (discounting: Shafer, 1976), so that nobody
has a veto. All w_m = 1 and ε_m = 0 is Bayes' rule for independent evidence (Bordley, 1982), near which training
starts; w_m = 0 or ε_m = 1 is not listening; with nobody heard the prior is left. s_m is 1 − entropy / log K, and d_m how far
channel m is from the mean of the others that are heard: total variation, or for grades the mean distance of cumulative beliefs
(so that a neighbouring grade is a small disagreement). A broken channel is known by these two alone. The paper concatenates
features and fuses by boosted trees; a pool of beliefs is what a debate can use, and a missing channel need not be filled in.

B cases, M channels, K labels.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

FLOOR = 1e-3
"""The least probability that a belief gives a label, so that nobody's certainty is a veto; as of the pool `product`."""
ONE = math.log(math.e - 1)
"""What softplus makes 1."""
HARDLY_EVER = -3.0
"""ε where training starts, as log odds."""


class LogLinear(nn.Module):
    """The formula above.

    Args:
        channels: M.
        labels: K.
        ordered: whether labels are grades.
    """

    log_prior: Tensor
    temperature: Tensor

    def __init__(self, channels: int, labels: int, *, ordered: bool = False) -> None:
        super().__init__()
        self.ordered = ordered
        self.level = nn.Parameter(torch.full((channels,), ONE, dtype=torch.float64))
        self.sureness = nn.Parameter(torch.zeros(channels, dtype=torch.float64))
        self.dissent = nn.Parameter(torch.zeros(channels, dtype=torch.float64))
        self.discount = nn.Parameter(torch.full((channels,), HARDLY_EVER, dtype=torch.float64))
        self.register_buffer("log_prior", torch.full((labels,), -math.log(labels), dtype=torch.float64))
        self.register_buffer("temperature", torch.ones((), dtype=torch.float64))

    def weights(self, beliefs: Tensor, heard: Tensor) -> Tensor:
        """Return w [B, M], 0 of those not heard, of beliefs [B, M, K] and who is heard [B, M]."""
        return functional.softplus(self.trusted(beliefs, heard)) * heard

    def trusted(self, beliefs: Tensor, heard: Tensor) -> Tensor:
        """Return a_m + b_m s_m + c_m d_m [B, M], of which softplus makes weights."""
        apart = dissent(beliefs, heard, ordered=self.ordered)
        return self.level + self.sureness * sureness(beliefs) + self.dissent * apart

    def forward(self, beliefs: Tensor, heard: Tensor) -> Tensor:
        """Return z / T [B, K] of beliefs [B, M, K] in float64; what those not heard believe is not looked at."""
        beliefs = floored(torch.where(heard[..., None], beliefs, torch.full_like(beliefs, 1 / beliefs.shape[-1])))
        silent, prior = torch.sigmoid(self.discount)[:, None], self.log_prior.exp()
        evidence = ((1 - silent) * beliefs + silent * prior).log() - self.log_prior
        z = self.log_prior + (self.weights(beliefs, heard)[..., None] * evidence).sum(1)
        found: Tensor = z / self.temperature
        return found


def floored(beliefs: Tensor) -> Tensor:
    """Return beliefs [..., K] with no probability below `FLOOR`, before they sum to 1 again."""
    raised = beliefs.clamp_min(FLOOR)
    return raised / raised.sum(-1, keepdim=True)


def sureness(beliefs: Tensor) -> Tensor:
    """Return 1 − entropy / log K of beliefs [..., K]: 0 of none at all, 1 of certainty."""
    entropy = -torch.xlogy(beliefs, beliefs).sum(-1)
    return 1 - entropy / math.log(beliefs.shape[-1])


def dissent(beliefs: Tensor, heard: Tensor, *, ordered: bool) -> Tensor:
    """Return how far each belief [B, M, K] is from the mean of the others heard [B, M]: 0 to 1, and 0 where it is alone."""
    counted = beliefs * heard[..., None]
    others = counted.sum(1, keepdim=True) - counted
    number = heard.sum(1, keepdim=True) - heard.to(beliefs.dtype)
    gap = beliefs - others / number.clamp_min(1)[..., None]
    distance = gap.cumsum(-1)[..., :-1].abs().mean(-1) if ordered else gap.abs().sum(-1) / 2
    return torch.where(number > 0, distance, torch.zeros_like(distance))
