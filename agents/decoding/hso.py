"""Hidden state optimisation of what is heard: gradient steps on received vectors before they are used; weights never change.

Yoshida, Making the Most of your Model (2024, arXiv 2408.16241), after Yoshida and Gimpel, Reconsidering the Past (2021, arXiv
2112.08653), where a language model's cached states are moved down the gradient of the loss on text that it has already
scored. Here the states are the CIPHER vectors of a prompt, which are inputs of the model that were never tokens; what is
scored is the prompt itself. The equations are our reading, held against torch's Adam in float64
(tests/agents/decoding/test_hso.py).

P positions of a prompt, H of them heard vectors, D width, V vocabulary.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import torch

from agents.errors import ConfigError

BETAS, EPSILON = (0.9, 0.999), 1e-8
# Of rate and bound, far beyond what any model was trained on.
LARGEST = 1e3


@dataclass(frozen=True)
class HiddenStateOptimisation:
    """How heard vectors are adapted.

    Attributes:
        steps: Adam steps a window; with none a hearer is the plain one.
        rate: learning rate, in units of the root mean square of a coordinate of the hearer's embedding table.
        bound: most that a vector may be moved in all, as a share of its length.
        window: scored positions between two updates; 0 for the whole prompt at once.

    Raises:
        ConfigError: a number out of range.
    """

    steps: int = 1
    rate: float = 0.01
    bound: float = 0.1
    window: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.steps <= 1000:
            raise ConfigError(f"decoding hso: steps lie between 0 and 1000; got {self.steps}")
        if not 0 < self.rate <= LARGEST or not 0 < self.bound <= LARGEST:
            raise ConfigError(
                f"decoding hso: rate and bound lie above 0 and at most at {LARGEST:g}; got {self.rate} and {self.bound}"
            )
        if self.window < 0:
            raise ConfigError(f"decoding hso: window is a number of positions, 0 for all; got {self.window}")


def optimised(
    inputs: torch.Tensor,
    heard: torch.Tensor,
    targets: torch.Tensor,
    logits_of: Callable[[torch.Tensor], torch.Tensor],
    settings: HiddenStateOptimisation,
    *,
    unit: float,
) -> torch.Tensor:
    """Return inputs [P, D] with the heard vectors adapted to the prompt in which they stand.

    Positions after the first heard vector are scored from left to right, in windows. The loss of a window is the mean of −log
    p(target) over its positions, each given the inputs before it; a window is done with before the next is looked at, and
    what will be answered is no part of any. An update moves the vectors before the window's last position, by Adam: each has
    moments and a number of steps of its own, so that one which is heard later begins its own course. After each step a vector
    that is farther than the bound from where it was received is drawn back onto that ball.

    Args:
        inputs: [P, D], the prompt's input embeddings.
        heard: [H] int64, ascending, positions of heard vectors.
        targets: [P] int64, the token at each position, of a vector its nearest one; negative where none is known.
        logits_of: inputs [L, D] → logits [L, V] of a causal model; differentiable.
        settings: steps, rate, bound, window.
        unit: root mean square of a coordinate of the model's table.

    Raises:
        ArithmeticError: the loss, its gradient or a vector is not finite.
    """
    steps = optimising(inputs, heard, targets, logits_of, settings, unit=unit)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: torch.Tensor = done.value
            return found


def optimising(
    inputs: torch.Tensor,
    heard: torch.Tensor,
    targets: torch.Tensor,
    logits_of: Callable[[torch.Tensor], torch.Tensor],
    settings: HiddenStateOptimisation,
    *,
    unit: float,
) -> Generator[None, None, torch.Tensor]:
    """Yield between the steps of what `optimised` does, so that whoever drives it may stop there; return what it returns.

    Gradients have to be recorded while it goes on, and need not be between its steps.
    """
    if not len(heard) or not settings.steps:
        return inputs
    wide = torch.promote_types(inputs.dtype, torch.float32)
    received = inputs[heard].to(wide)
    limits = settings.bound * received.norm(dim=1, keepdim=True)
    states, first, second = received.clone(), torch.zeros_like(received), torch.zeros_like(received)
    counts = torch.zeros(len(heard), 1, dtype=wide, device=inputs.device)
    begun = False
    for scored in _windows(int(heard[0]) + 1, targets, settings.window):
        last = int(scored[-1])
        moved = heard < last
        for _ in range(settings.steps):
            if begun:
                yield
            begun = True
            leaf = states.clone().requires_grad_()
            fed = inputs.index_copy(0, heard, leaf.to(inputs.dtype))[:last]
            loss = torch.nn.functional.cross_entropy(logits_of(fed)[scored - 1].to(wide), targets[scored])
            (gradient,) = torch.autograd.grad(loss, leaf)
            if not bool(torch.isfinite(loss)) or not bool(torch.isfinite(gradient).all()):
                raise ArithmeticError("the loss on what was heard, or its gradient, is not finite")
            counts[moved] += 1
            first[moved] = BETAS[0] * first[moved] + (1 - BETAS[0]) * gradient[moved]
            second[moved] = BETAS[1] * second[moved] + (1 - BETAS[1]) * gradient[moved].square()
            mean = first[moved] / (1 - BETAS[0] ** counts[moved])
            spread = (second[moved] / (1 - BETAS[1] ** counts[moved])).sqrt()
            way = states[moved] - settings.rate * unit * mean / (spread + EPSILON) - received[moved]
            reach = way.norm(dim=1, keepdim=True)
            states[moved] = received[moved] + way * (limits[moved] / reach.clamp_min(1e-30)).clamp_max(1)
    adapted = states.to(inputs.dtype)
    if not bool(torch.isfinite(adapted).all()):
        raise ArithmeticError("what was heard is not finite once it is adapted")
    return inputs.index_copy(0, heard, adapted)


def _windows(start: int, targets: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Yield the scored positions of each window [n], n at least 1."""
    known = torch.arange(start, len(targets), device=targets.device)
    known = known[targets[start:] >= 0]
    if len(known):
        yield from torch.split(known, size or len(known))
