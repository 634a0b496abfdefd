"""What the layers of a network that learns in context hold: probes for the moment Xᵀ y and for the weights (Akyürek et al., 2023,
arXiv:2211.15661, section 5).

A probe weighs the positions, one softmax for all prompts, and reads the weighted mean of a layer's states by a linear map or a
network of one hidden layer. What it finds is that something can be read, not that the network uses it; the same probe on a
network of random weights says what was there without training.

B prompts, K positions, D width, d dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.models.in_context.estimators import least_squares
from agents.models.in_context.families import Points
from agents.models.in_context.model import Learner
from agents.models.in_context.training import Recipe, fit
from agents.models.seeded import seeded

HIDDEN = 64
RECIPE = Recipe(steps=200, batch=256, learning_rate=1e-2, warmup=20)


class Probe(nn.Module):
    """Reads targets [B, d] from states [B, K, D]."""

    def __init__(self, positions: int, width: int, dims: int, *, is_linear: bool) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(positions))
        self.read: nn.Module = nn.Linear(width, dims)
        if not is_linear:
            self.read = nn.Sequential(nn.Linear(width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, dims))

    def forward(self, states: Tensor) -> Tensor:
        """Return what is read [B, d]."""
        found: Tensor = self.read((torch.softmax(self.scores, 0)[:, None] * states).sum(1))
        return found


@dataclass(frozen=True)
class Prompts:
    """States of a network at prompts, and what is looked for in them.

    Attributes:
        states: [B, K, D] of every layer, what the first one reads included.
        targets: name → [B, d]; `moment`, Xᵀ y over the number of examples, and `weights`, least squares' of all examples.
    """

    states: tuple[Tensor, ...]
    targets: dict[str, Tensor]


@torch.inference_mode()
def prompts(learner: Learner, points: Points) -> Prompts:
    """Return states and targets of prompts of all points but the last, which is the question."""
    x, y = points.x[:, :-1], points.y[:, :-1]
    moment = (x * y[..., None]).mean(1)
    states = learner.states(points.x.float(), points.y.float())
    targets = {"moment": moment.float(), "weights": least_squares(x, y).float()}
    return Prompts(tuple(each.clone() for each in states), targets)


def explained(seen: Prompts, fresh: Prompts, layer: int, target: str, *, is_linear: bool, seed: int) -> float:
    """Return the share of a target's variance on fresh prompts that a probe of a layer explains; 0 is its mean, 1 all of it."""
    states, wanted = seen.states[layer], seen.targets[target]
    centre, scale = states.mean((0, 1)), states.std((0, 1)).clamp(min=1e-6)
    middle, spread = wanted.mean(0), wanted.std(0).clamp(min=1e-6)

    def loss(probe: Probe, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(0, len(states), (RECIPE.batch,), generator=generator)
        found: Tensor = (probe((states[chosen] - centre) / scale) - (wanted[chosen] - middle) / spread).square().mean()
        return found

    _, positions, width = states.shape
    probe = seeded(lambda: Probe(positions, width, wanted.shape[-1], is_linear=is_linear), seed)
    fit(probe, loss, RECIPE, seed=seed)
    with torch.inference_mode():
        said = probe((fresh.states[layer] - centre) / scale) * spread + middle
    right = fresh.targets[target]
    return 1 - float((said - right).square().sum() / (right - right.mean(0)).square().sum())


def table(seen: Prompts, fresh: Prompts, *, seed: int) -> dict[str, Sequence[float]]:
    """Return `explained` by layer for each target and both kinds of probe: `weights, linear`, `weights, network`, ….

    Layer 0 is what the first block reads.
    """
    return {
        f"{target}, {kind}": [
            explained(seen, fresh, layer, target, is_linear=kind == "linear", seed=seed)
            for layer in range(len(seen.states))
        ]
        for target in seen.targets
        for kind in ("linear", "network")
    }
