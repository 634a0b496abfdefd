"""What a training of pictures learns of a batch: plain or balanced scores, and samples related to each other or each by itself.

B batch, C width of features, K labels.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.errors import UnknownName
from agents.models.batchformer.layer import RELATIONS, relation, two_streams
from agents.models.batchformer.long_tail import balanced_loss, log_shares
from agents.models.seeded import seeded

LOSSES = ("cross_entropy", "balanced")
NONE = "none"


class InTwoParts(Protocol):
    """A model that says what its head sees, and what the head makes of it."""

    @property
    def feature_width(self) -> int:
        """C."""

    def features(self, pixels: Tensor) -> Tensor:
        """Return [B, C] of standardised pictures."""

    def scores(self, features: Tensor) -> Tensor:
        """Return [B, K] of features."""


@dataclass(frozen=True)
class Objective:
    """What is learned.

    Attributes:
        loss: `cross_entropy`; or `balanced` softmax, for classes of which some have few pictures.
        relation: `none`; `batchformer`, a layer over the batch that is there in training alone; or its control `alone`.
        share: of the learning rate, for that layer (published: 0.1 of it).

    Raises:
        UnknownName: no such loss or relation.
    """

    loss: str = "cross_entropy"
    relation: str = NONE
    share: float = 0.1

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UnknownName("loss of a recipe", self.loss, LOSSES)
        if self.relation != NONE and self.relation not in RELATIONS:
            raise UnknownName("relation between samples", self.relation, (NONE, *RELATIONS))


class Learned:
    """A model in training with whatever stands beside it until the training ends.

    Args:
        model: `InTwoParts` where samples are related.
        objective: what is learned.
        classes: of all pictures [n], by which balanced softmax knows how common each is.
        seed: of the layer's first weights.
    """

    def __init__(self, model: Any, objective: Objective, classes: Tensor, *, seed: int) -> None:
        self.model, self.objective = model, objective
        self.layer: nn.Module | None = None
        if objective.relation != NONE:
            self.layer = seeded(lambda: relation(objective.relation, model.feature_width), seed)
        self.shares: Tensor | None = None
        if objective.loss == "balanced":
            self.shares = log_shares(classes, len(model.config.labels))

    @property
    def parts(self) -> nn.Module:
        """All that is trained, as one module."""
        found: nn.Module = self.model
        return found if self.layer is None else nn.ModuleDict({"model": self.model, "layer": self.layer})

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The optimiser's groups of parameters, each with its share of the learning rate."""
        found: list[dict[str, Any]] = [{"params": list(self.model.parameters()), "share": 1.0}]
        if self.layer is not None:
            found.append({"params": list(self.layer.parameters()), "share": self.objective.share})
        return found

    def loss(self, pixels: Tensor, classes: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss of standardised pictures [B, 3, S, S] of classes [B]; a generator draws the layer's dropout."""
        if self.layer is None:
            scores = self.model(pixels)
        else:
            layer, features = self.layer, self.model.features(pixels)
            # Dropout draws from torch's own generator.
            drawn = int(torch.randint(2**62, (), generator=generator))
            features, classes = seeded(lambda: two_streams(layer, features, classes), drawn)
            scores = self.model.scores(features)
        if self.shares is None:
            return functional.cross_entropy(scores, classes)
        return balanced_loss(scores, classes, self.shares)
