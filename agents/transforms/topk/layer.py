"""The k largest activations of a feed-forward layer, and zeros in place of the others. F units of a layer, D width."""

from typing import Any

from torch import Tensor, nn

from agents.largest import keep_largest

PRODUCT, GATE = "product", "gate"
PLACES = (PRODUCT, GATE)


class TopKFeedForward(nn.Module):
    """A gated feed-forward layer, down(act(gate(x)) ⊙ up(x)), of whose F units each token keeps k.

    Args:
        layer: the layer whose maps these are, with `gate_proj`, `up_proj`, `down_proj` and `act_fn`.
        k: units that stay, from 1 to F.
        at: `product`: those of largest |act(gate(x)) ⊙ up(x)|, which spares columns of `down_proj`; `gate`: those of largest
            |act(gate(x))|, which spares rows of `up_proj` too.
    """

    def __init__(self, layer: Any, k: int, at: str) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = layer.gate_proj, layer.up_proj, layer.down_proj
        self.act_fn = layer.act_fn
        self.k, self.at = k, at

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., D] of [..., D]."""
        gated = self.act_fn(self.gate_proj(x))
        if self.at == GATE:
            gated = keep_largest(gated, self.k)
        product = gated * self.up_proj(x)
        if self.at == PRODUCT:
            product = keep_largest(product, self.k)
        found: Tensor = self.down_proj(product)
        return found

    def needed(self) -> dict[nn.Module, tuple[int, int]]:
        """Return map → most of its rows and of its columns that one token needs."""
        width = self.down_proj.out_features
        needed: dict[nn.Module, tuple[int, int]] = {self.down_proj: (width, self.k)}
        if self.at == GATE:
            needed[self.up_proj] = (self.k, self.up_proj.in_features)
        return needed
