"""Gates of heads: each token says, of what it reads, how much of what a head heard goes on (arXiv:2306.12929).

π = sigmoid(G(x)), one number for each token and head, times what the head heard, before the map behind the heads. B texts, T
positions, H heads, D width of the stream, d = D / H that of a head's slice of it.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

# `linear` and `mlp` read a head's own slice of what the block reads, `all` the whole of it.
KINDS = ("none", "linear", "mlp", "all")
# Deviation of the weights of gates that are added to a model that is trained already.
SMALL = 1e-3


class Gate(nn.Module):
    """Gates of all heads of a block.

    Args:
        config: of the model; `gate` is one of KINDS but none, `gate_start` what every gate begins near, and with
            `gate_rescaled` what goes on is divided by that, so that a trained model begins as it was.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.kind, self.start, self.rescaled = config.gate, config.gate_start, config.gate_rescaled
        heads, width = config.num_attention_heads, config.hidden_size
        self.slice = width if self.kind == "all" else width // heads
        hidden = max(1, self.slice // 4)
        self.enter = nn.Parameter(torch.empty(heads, hidden, self.slice)) if self.kind == "mlp" else None
        self.enter_bias = nn.Parameter(torch.empty(heads, hidden)) if self.kind == "mlp" else None
        self.weight = nn.Parameter(torch.empty(heads, hidden if self.kind == "mlp" else self.slice))
        self.bias = nn.Parameter(torch.empty(heads))
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Draw the weights that it begins with: a linear map's of torch, and a bias of logit(gate_start)."""
        for weight in (self.enter, self.enter_bias, self.weight):
            if weight is not None:
                most = (self.slice if weight is not self.weight else weight.shape[-1]) ** -0.5
                nn.init.uniform_(weight, -most, most)
        if self.rescaled:
            nn.init.normal_(self.weight, std=SMALL)
        self.bias.fill_(math.log(self.start / (1 - self.start)))

    def forward(self, x: Tensor) -> Tensor:
        """Return factors [B, T, H, 1] of what a block's attention reads [B, T, D]."""
        heads = len(self.bias)
        x = x[..., None, :].expand(*x.shape[:-1], heads, -1) if self.kind == "all" else x.view(*x.shape[:-1], heads, -1)
        if self.enter is not None:
            assert self.enter_bias is not None
            x = torch.relu(torch.einsum("bthd,hnd->bthn", x, self.enter) + self.enter_bias)
        gates = torch.sigmoid((x * self.weight).sum(-1) + self.bias)
        return gates[..., None] / (self.start if self.rescaled else 1.0)
