"""A trained pool of beliefs and one of labels that are merely said, saved as a folder; and what each channel adds.

The pools are those of `log_linear.py`, or of `related.py`. Who says only a label is heard as the column of a table: how often
each label was right when this channel said that one.

B cases, M channels, K labels.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agents.models.checkpoint import load_model, save_model
from agents.models.fusion.log_linear import LogLinear
from agents.models.fusion.related import Related
from agents.models.stored import made_of

FOLDER = "pool"
NONE = "none"


class TrainedPool(nn.Module):
    """A pool for beliefs, another for labels that are merely said, and what each label meant when a channel said it.

    Args:
        channels: names, in order.
        labels: what beliefs are over.
        ordered: whether labels are grades.
        relation: `none`; `batchformer`, a layer over the channels by which they are weighed as well (`related.py`); or `alone`.

    Raises:
        UnknownName: no such relation.
    """

    meant: Tensor

    def __init__(
        self, channels: Sequence[str], labels: Sequence[str], *, ordered: bool = False, relation: str = NONE
    ) -> None:
        super().__init__()
        self.relation = relation
        self.channels, self.labels, self.ordered = tuple(channels), tuple(labels), ordered
        m, k = len(self.channels), len(self.labels)
        self.of_beliefs, self.of_labels = (
            LogLinear(m, k, ordered=ordered) if relation == NONE else Related(m, k, ordered=ordered, relation=relation)
            for _ in range(2)
        )
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
        own: dict[str, object] = {} if self.relation == NONE else {"relation": self.relation}
        return {"channels": list(self.channels), "labels": list(self.labels), "ordered": self.ordered, **own}


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
