"""The layer over a batch, and the two streams of features that one classifier learns from (arXiv:2203.01522, section 3.2).

The batch is the sequence: each sample attends to all samples of its batch, which have no positions. The classifier hears
each sample twice, as the layer made it and as it was, so that it can do without the layer, which is not there in use.

N samples of a batch, C width of their features, K labels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.errors import ConfigError, UnknownName

HEADS, DROPOUT = 4, 0.5


class BatchFormer(nn.Module):
    """An encoder layer over the batch: attention among samples, then a feed-forward layer as wide as the features.

    Modules are named as in torch's `TransformerEncoderLayer`, which the published code takes.

    Args:
        width: of the features.
        heads: of attention.
        dropout: share of what each part adds that is left out, and of attention.

    Raises:
        ConfigError: a width that is no multiple of the heads.
    """

    def __init__(self, width: int, *, heads: int = HEADS, dropout: float = DROPOUT) -> None:
        super().__init__()
        if width < 1 or heads < 1 or width % heads:
            raise ConfigError(f"BatchFormer's width is a multiple of its heads; got {width} and {heads}")
        self.dropout = dropout
        self.self_attn = self._mixing(width, heads)
        self.linear1, self.linear2 = nn.Linear(width, width), nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, features: Tensor, missing: Tensor | None = None) -> Tensor:
        """Return what samples are beside each other, [N, C].

        Args:
            features: [N, C]; or of B batches, each a sequence of its own, [N, B, C].
            missing: [B, N], which samples of them nobody attends to.
        """
        x = self.norm1(features + self._dropped(self.mixed(features, missing)))
        inner = self._dropped(functional.relu(self.linear1(x)))
        found: Tensor = self.norm2(x + self._dropped(self.linear2(inner)))
        return found

    def mixed(self, features: Tensor, missing: Tensor | None = None) -> Tensor:
        """Return what samples take from each other; the first dimension of features is the sequence, of two or of three."""
        found: Tensor = self.self_attn(features, features, features, key_padding_mask=missing, need_weights=False)[0]
        return found

    def _mixing(self, width: int, heads: int) -> nn.Module:
        return nn.MultiheadAttention(width, heads, dropout=self.dropout)

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class Alone(BatchFormer):
    """The control: two layers of as many weights in place of attention, so that no sample knows of another."""

    def mixed(self, features: Tensor, missing: Tensor | None = None) -> Tensor:
        """Return what each sample makes of itself; nobody is missed."""
        del missing
        found: Tensor = self.self_attn(features)
        return found

    def _mixing(self, width: int, heads: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Dropout(self.dropout), nn.Linear(2 * width, width)
        )


RELATIONS: dict[str, type[BatchFormer]] = {"batchformer": BatchFormer, "alone": Alone}


def relation(name: str, width: int, *, dropout: float = DROPOUT) -> BatchFormer:
    """Return a layer by name, of features of a width.

    Raises:
        UnknownName: no such layer.
        ConfigError: a width that it does not take.
    """
    if name not in RELATIONS:
        raise UnknownName("relation between samples", name, RELATIONS)
    return RELATIONS[name](width, dropout=dropout)


def two_streams(layer: nn.Module, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return samples as the layer made them and then as they were [2 N, C], and their classes twice [2 N].

    A mean over all of them weighs a sample as much as one over the features alone does.

    Args:
        layer: over the batch.
        features: [N, C].
        classes: [N].

    Raises:
        ConfigError: one sample, which has nobody to be related to.
    """
    if len(features) < 2:
        raise ConfigError(
            "BatchFormer relates the samples of a batch, of which there are two or more; got one: take another batch size"
        )
    return torch.cat([layer(features), features]), torch.cat([classes, classes])
