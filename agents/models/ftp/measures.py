"""What states hold: how alike neighbours are, and what a linear probe reads of them.

M states of D numbers, W windows of T positions.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

HEADING = re.compile(r"(?:\A|\n\n)([A-Z][A-Za-z ']*):\n")
"""Of a speech in tinyshakespeare."""


def adjacent_cosine(states: Tensor, *, centred: bool = True) -> float:
    """Return the mean cosine of z_t and z_{t+1} of states [W, T, D].

    Centred: of their differences from the mean of all. What all states have in common makes any two of them alike, and would be
    taken for smoothness.
    """
    z = states.double()
    if centred:
        z = z - z.mean((0, 1))
    return float(functional.cosine_similarity(z[:, :-1], z[:, 1:], dim=-1).mean())


@dataclass(frozen=True)
class Probe:
    """A linear classifier of states.

    Attributes:
        mean, scale: [D], what states are brought to mean 0 and deviation 1 by.
        weight, bias: [D, C] and [C].
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def accuracy(self, states: Tensor, labels: Tensor) -> float:
        """Return the share of states [M, D] whose label [M] is found the likeliest."""
        found = ((states - self.mean) / self.scale) @ self.weight + self.bias
        return float((found.argmax(1) == labels).double().mean())


def fit_probe(states: Tensor, labels: Tensor, classes: int, *, decay: float = 1e-4, iterations: int = 60) -> Probe:
    """Return the softmax regression of labels [M] on states [M, D], by L-BFGS.

    Args:
        states, labels: what it is fitted to.
        classes: C.
        decay: on half the sum of the squared weights, beside the mean loss.
        iterations: maximum number.
    """
    mean, scale = states.mean(0), states.std(0).clamp_min(1e-6)
    x = (states - mean) / scale
    weight = torch.zeros(x.shape[1], classes, dtype=x.dtype, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=iterations, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        found = functional.cross_entropy(x @ weight + bias, labels) + 0.5 * decay * weight.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    solver.step(loss)  # type: ignore[no-untyped-call]
    return Probe(mean, scale, weight.detach(), bias.detach())


def speakers(text: str) -> tuple[list[str], Tensor, Tensor]:
    """Return who speaks in a text: the names, the number of the name at each character, and where its heading begins.

    Returns:
        names: in order of appearance.
        who: [N] int64, a number of a name within a speech behind its heading; −1 in headings and before the first.
        begins: [N] int64, where the heading of that speech begins; 0 where nobody speaks.
    """
    who, begins = torch.full((len(text),), -1), torch.zeros(len(text), dtype=torch.int64)
    names: dict[str, int] = {}
    found = list(HEADING.finditer(text))
    ends = [heading.start() for heading in found[1:]] + [len(text)]
    for heading, end in zip(found, ends, strict=True):
        speech = slice(heading.end(), end)
        who[speech] = names.setdefault(heading[1], len(names))
        begins[speech] = heading.start(1)
    return list(names), who, begins


def frequent(labels: Tensor, least: int) -> Sequence[int]:
    """Return the labels that at least so many of [M] have, ascending, −1 not among them."""
    found, counts = torch.unique(labels[labels >= 0], return_counts=True)
    frequent_: list[int] = found[counts >= least].tolist()
    return frequent_
