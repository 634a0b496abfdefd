"""Hard attention: of each query's shares the K largest stay, and the others are 0 (AxFormer, arXiv:2010.03688).

Shares are those of the softmax over all that a query sees, and are not made to add up to 1 again: what a query does not hear any
more it hears from nobody. A query that sees K positions or fewer hears what it heard before.
"""

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor

from agents.attention.row_attention import RowAttention, visible_scores
from agents.errors import ConfigError
from agents.largest import keep_largest


def hard_shares(scores: Tensor, keys: int) -> Tensor:
    """Return shares [..., L] of scores [..., L], of which the K largest are not 0; of equals the earlier position stays.

    What is hidden has the score −inf, or the lowest number.
    """
    return keep_largest(scores.softmax(-1), keys)


def hard_heard(query: Tensor, key: Tensor, value: Tensor, *, scaling: float, keys: int) -> Tensor:
    """Return what the last positions of one row hear [H, Q, D], of queries [H, Q, D] and all keys and values [H, L, D]."""
    return (hard_shares(visible_scores(query, key, scaling), keys) @ value.float()).to(value.dtype)


@dataclass(frozen=True)
class Hard(RowAttention):
    """A model's own attention, hard in some layers.

    Attributes:
        keys: K, positions that a query hears at most.
        layers: numbers of the layers; None: all.
    """

    keys: int
    layers: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        layers = (0,) if self.layers is None else self.layers
        if self.keys < 1 or not layers or not all(type(layer) is int and layer >= 0 for layer in layers):
            raise ConfigError(
                "hard attention hears 1 position at least, in all layers or in those of a list, the first being 0; got keys "
                f"{self.keys} and layers {self.layers}"
            )

    def check_layers(self, layers: Collection[int]) -> None:
        """See RowAttention."""
        if strange := sorted(set(self.layers or ()) - set(layers)):
            raise ConfigError(
                f"hard attention is asked for in layer {strange[0]}, and the model has the layers {min(layers)} to {max(layers)}"
            )

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scaling: float,
        layer: int,
        queries: Tensor | None = None,
    ) -> Tensor:
        """See RowAttention."""
        is_hard = self.layers is None or layer in self.layers
        return hard_heard(query, key, value, scaling=scaling, keys=self.keys if is_hard else key.shape[1])


def hard(*, keys: int = 16, layers: tuple[int, ...] | None = None) -> Hard:
    """Hear the `keys` positions of largest share alone, without renormalising; `layers` says where, everywhere by default."""
    if not isinstance(layers, tuple | list | None):
        raise ConfigError(f"hard attention: layers is a list of numbers, e.g. layers=(0, 3); got {layers!r}")
    return Hard(keys, None if layers is None else tuple(layers))
