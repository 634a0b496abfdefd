"""Factors learned from what the whole model believes: no labels, and weights where they are asked for. B rows, T positions."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.transforms.calibration import Rows
from agents.transforms.optin.search import Masks
from agents.transforms.subject import Subject
from agents.transforms.units import masked
from agents.transforms.vtrans.bottleneck import Bottleneck

# Of the bound on information, in nats a factor.
BETA = 0.01
# Steps of Adam: of means, of log variances, of Lagrange's multipliers and of weights.
MEAN_RATE, VARIANCE_RATE, MULTIPLIER_RATE, WEIGHT_RATE = 0.01, 0.1, 1.0, 1e-4


@dataclass(frozen=True)
class Plan:
    """How factors are learned.

    Attributes:
        steps: in which factors are drawn, and the budget falls from the whole model to `macs` over the first half.
        tuned: after what is masked is chosen, without noise.
        batch: rows of a step.
        macs: the share of multiply-accumulates that is to stay.
        positions: over which it is counted.
        seed: of factors, draws and batches.
    """

    steps: int
    tuned: int
    batch: int
    macs: float
    positions: int
    seed: int


class Learner:
    """A model whose heads and units have factors, beside the whole model.

    Args:
        subject: the model; where weights are learned too, those of its blocks change.
        bottleneck: its factors.
        rows: texts.
        plan: how they are learned.
        weights: learn the blocks' weights too.
    """

    def __init__(self, subject: Subject, bottleneck: Bottleneck, rows: Rows, plan: Plan, *, weights: bool) -> None:
        self.subject, self.bottleneck, self.rows, self.plan = subject, bottleneck, rows, plan
        self.whole: Any = copy.deepcopy(subject.model) if weights else subject.model
        self.weights = list(subject.model.model.layers.parameters()) if weights else []
        for weight in self.weights:
            weight.requires_grad_(True)
        self._draw = torch.Generator().manual_seed(plan.seed)

    def learn(self) -> None:
        """Learn factors under noise, the budget falling."""
        plan, own = self.plan, self.bottleneck
        multipliers = torch.zeros(2, requires_grad=True)
        rising = torch.optim.SGD([multipliers], MULTIPLIER_RATE, maximize=True)
        factors = list(own.named_parameters())
        optimiser = torch.optim.Adam(
            [
                {"params": [one for name, one in factors if name.endswith("mean")], "lr": MEAN_RATE},
                {"params": [one for name, one in factors if name.endswith("log_variance")], "lr": VARIANCE_RATE},
                *self._of_weights(),
            ]
        )
        for step in range(plan.steps):
            target = 1 - (1 - plan.macs) * min(1.0, 2 * step / plan.steps)
            # Clipped, so that the multipliers never push up.
            gap = (own.expected_macs(plan.positions) - target).clamp_min(0)
            loss = self._distilled(lambda count: own.drawn(count, self._draw)) + BETA * own.information()
            loss = loss + multipliers[0] * gap + multipliers[1] * gap.square()
            self._descend(loss, [optimiser, rising])

    def tune(self, masks: Masks) -> None:
        """Learn the means of what stays, without noise."""
        means = [one for name, one in self.bottleneck.named_parameters() if name.endswith("mean")]
        optimiser = torch.optim.Adam([{"params": means, "lr": MEAN_RATE}, *self._of_weights()])
        for _ in range(self.plan.tuned):
            self._descend(self._distilled(lambda _: self.bottleneck.means(masks)), [optimiser])

    def finish(self) -> None:
        """Let no weight be learned any more."""
        for weight in self.weights:
            weight.requires_grad_(False)

    def _of_weights(self) -> list[dict[str, Any]]:
        return [{"params": self.weights, "lr": WEIGHT_RATE}] if self.weights else []

    @staticmethod
    def _descend(loss: Tensor, optimisers: Iterable[torch.optim.Optimizer]) -> None:
        for each in optimisers:
            each.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for each in optimisers:
            each.step()

    def _distilled(self, factors: Callable[[int], tuple[Iterable[Tensor], Iterable[Tensor]]]) -> Tensor:
        """Return how far a batch is from the whole model's: KL of beliefs, and relative squared error of every block's states."""
        chosen = torch.randperm(len(self.rows.ids), generator=self._draw)[: self.plan.batch]
        ids, is_text = self.rows.ids[chosen], self.rows.is_text[chosen]
        with torch.no_grad():
            want = self.whole(ids, use_cache=False, output_hidden_states=True)
        with masked(self.subject, *factors(len(chosen))):
            found = self.subject.model(ids, use_cache=False, output_hidden_states=True)
        beliefs, true = (torch.log_softmax(each.logits[is_text], -1) for each in (found, want))
        drift = functional.kl_div(beliefs, true, reduction="batchmean", log_target=True)
        errors = [
            (one[is_text] - other[is_text]).square().sum() / other[is_text].square().sum().clamp_min(1e-12)
            for one, other in zip(found.hidden_states[1:], want.hidden_states[1:], strict=True)
        ]
        return drift + torch.stack(errors).mean()


@torch.no_grad()
def fold(layers: Iterable[Any], heads: Tensor, units: Tensor) -> None:
    """Take factors of heads [L, G] and units [L, F] into the maps that sum them up."""
    for layer, of_heads, of_units in zip(layers, heads, units, strict=True):
        summed: list[tuple[nn.Linear, Tensor]] = [
            (layer.self_attn.o_proj, of_heads.repeat_interleave(layer.self_attn.o_proj.in_features // len(of_heads))),
            (layer.mlp.down_proj, of_units),
        ]
        for linear, columns in summed:
            linear.weight.mul_(columns)
