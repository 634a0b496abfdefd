"""A pool whose weights know the whole table: BatchFormer's layer over agents in place of samples. Ours, and not the paper's.

What channel m is trusted with has one term more than in `log_linear.py`: with e_m = log p_m − log π, what it says,

    h_1 … h_M = layer(W e_1 + u_1, …, W e_M + u_M),    w_m = softplus(a_m + b_m s_m + c_m d_m + v · h_m),

in which the channels that are heard are the layer's sequence, u_m is a channel's own vector, and v starts at 0, where the pool is
the other one. All else is as there: Bayes' rule where training starts, the prior with nobody heard, and an answer that is no
average of states but of beliefs, weighed.

B cases, M channels, K labels, C width.
"""

import torch
from torch import Tensor, nn

from agents.models.batchformer.layer import relation as layer_of
from agents.models.fusion.log_linear import LogLinear

WIDTH = 16


class Related(LogLinear):
    """The formula above.

    Args:
        channels: M.
        labels: K.
        ordered: whether labels are grades.
        relation: `batchformer`; or `alone`, whose layer looks at each channel by itself.

    Raises:
        UnknownName: no such relation.
    """

    def __init__(self, channels: int, labels: int, *, ordered: bool = False, relation: str = "batchformer") -> None:
        super().__init__(channels, labels, ordered=ordered)
        self.read = nn.Linear(labels, WIDTH, dtype=torch.float64)
        self.own = nn.Parameter(torch.randn(channels, WIDTH, dtype=torch.float64))
        self.layer = layer_of(relation, WIDTH, dropout=0.0).double()
        self.weigh = nn.Parameter(torch.zeros(WIDTH, dtype=torch.float64))

    def trusted(self, beliefs: Tensor, heard: Tensor) -> Tensor:
        """Return what softplus makes weights of [B, M], of floored beliefs [B, M, K] and who is heard [B, M]."""
        said = self.read(beliefs.log() - self.log_prior) + self.own
        # With nobody heard attention has nobody to attend to; the weights are 0 whatever it says.
        missing = ~heard & heard.any(1, keepdim=True)
        states = self.layer(said.transpose(0, 1), missing).transpose(0, 1)
        found: Tensor = super().trusted(beliefs, heard) + states @ self.weigh
        return found
