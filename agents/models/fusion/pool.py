"""A trained pool of beliefs: how much each channel counts, by how sure it is and how far from the others, missing ones left out.

With beliefs p_m over labels k and a prior π, what M channels say together is

    z_k = log π_k + Σ_m w_m log( ((1 − ε_m) p_mk + ε_m π_k) / π_k ),    w_m = softplus(a_m + b_m s_m + c_m d_m),
    p = softmax(z / T),

over the channels that are heard. ε_m is how often channel m says nothing of the case (discounting: Shafer, 1976), so that nobody
has a veto. All w_m = 1 and ε_m = 0 is Bayes' rule for independent evidence (Bordley, 1982), near which training
starts; w_m = 0 or ε_m = 1 is not listening; with nobody heard the prior is left. s_m is 1 − entropy / log K, and d_m how far
channel m is from the mean of the others that are heard: total variation, or for grades the mean distance of cumulative beliefs
(so that a neighbouring grade is a small disagreement). A broken channel is known by these two alone. The paper concatenates
features and fuses by boosted trees; a pool of beliefs is what a debate can use, and a missing channel need not be filled in.

Who says only a label is heard as the column of a table: how often each label was right when this channel said that one.

B cases, M channels, K labels.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.checkpoint import load_model, save_model
from agents.models.stored import made_of

FLOOR = 1e-3
"""The least probability that a belief gives a label, so that nobody's certainty is a veto; as of the pool `product`."""
FOLDER = "pool"
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
        found = functional.softplus(
            self.level
            + self.sureness * sureness(beliefs)
            + self.dissent * dissent(beliefs, heard, ordered=self.ordered)
        )
        return found * heard

    def forward(self, beliefs: Tensor, heard: Tensor) -> Tensor:
        """Return z / T [B, K] of beliefs [B, M, K] in float64; what those not heard believe is not looked at."""
        beliefs = floored(torch.where(heard[..., None], beliefs, torch.full_like(beliefs, 1 / beliefs.shape[-1])))
        silent, prior = torch.sigmoid(self.discount)[:, None], self.log_prior.exp()
        evidence = ((1 - silent) * beliefs + silent * prior).log() - self.log_prior
        z = self.log_prior + (self.weights(beliefs, heard)[..., None] * evidence).sum(1)
        found: Tensor = z / self.temperature
        return found


class TrainedPool(nn.Module):
    """A pool for beliefs, another for labels that are merely said, and what each label meant when a channel said it.

    Args:
        channels: names, in order.
        labels: what beliefs are over.
        ordered: whether labels are grades.
    """

    meant: Tensor

    def __init__(self, channels: Sequence[str], labels: Sequence[str], *, ordered: bool = False) -> None:
        super().__init__()
        self.channels, self.labels, self.ordered = tuple(channels), tuple(labels), ordered
        m, k = len(self.channels), len(self.labels)
        self.of_beliefs = LogLinear(m, k, ordered=ordered)
        self.of_labels = LogLinear(m, k, ordered=ordered)
        # [M, K, K]: p(right | said), a row a label that is said.
        self.register_buffer("meant", torch.full((m, k, k), 1 / k, dtype=torch.float64))

    def forward(self, beliefs: Tensor, heard: Tensor) -> Tensor:
        """Return the log belief [B, K] of beliefs [B, M, K]."""
        return torch.log_softmax(self.of_beliefs(beliefs, heard), -1)

    def heard_labels(self, said: Tensor) -> Tensor:
        """Return what labels [B, M] mean [B, M, K]."""
        return self.meant[torch.arange(said.shape[1]), said]

    def from_labels(self, said: Tensor, heard: Tensor) -> Tensor:
        """Return the log belief [B, K] of labels that are merely said [B, M], by number."""
        return torch.log_softmax(self.of_labels(self.heard_labels(said), heard), -1)

    @property
    def sizes(self) -> dict[str, object]:
        """What it is made of, as JSON values."""
        return {"channels": list(self.channels), "labels": list(self.labels), "ordered": self.ordered}


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


def attributions(part: LogLinear, beliefs: Tensor, heard: Tensor, label: int) -> Tensor:
    """Return what each channel [M] adds to the log belief in a label, in nats: Shapley's value, others left out in every way.

    They sum to log p(label) less the same with nobody heard, exactly, and are 0 of who is not heard (Shapley, 1953; the paper has
    SHAP values of its trees). 2^M pools.

    Args:
        part: pool of M channels.
        beliefs, heard: of one case, [M, K] and [M].
        label: its number.
    """
    present = [place for place, is_heard in enumerate(heard.tolist()) if is_heard]
    groups = [group for size in range(len(present) + 1) for group in combinations(present, size)]
    masks = torch.zeros(len(groups), len(heard), dtype=torch.bool)
    for row, group in enumerate(groups):
        masks[row, list(group)] = True
    with torch.no_grad():
        logits = part(beliefs[None].expand(len(groups), -1, -1), masks)
        said = torch.log_softmax(logits, -1)[:, label].tolist()
    worth = dict(zip(groups, said, strict=True))
    found = torch.zeros(len(heard), dtype=torch.float64)
    for group in groups:
        share = 1 / (len(present) * math.comb(len(present) - 1, len(group))) if len(group) < len(present) else 0.0
        for place in present:
            if place not in group:
                found[place] += share * (worth[tuple(sorted((*group, place)))] - worth[group])
    return found


def save_pool(folder: Path, pool: TrainedPool) -> None:
    """Write config.json and model.safetensors, for the decision `fused`."""
    save_model(folder, pool, pool.sizes)


def load_pool(folder: Path) -> TrainedPool:
    """Return the pool of a folder, or of `pool` in it.

    Raises:
        ModelError: no such pool there.
    """

    def make(sizes: Mapping[str, Any]) -> TrainedPool:
        return made_of(TrainedPool, sizes)

    inner = folder / FOLDER
    pool, _ = load_model(inner if inner.is_dir() else folder, "trained pool", make)
    return pool.eval()
