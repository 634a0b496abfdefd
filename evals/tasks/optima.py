"""What the best of witnesses could come to, exactly: probabilities in float64, summed over everything that can be seen and said.

A place is independent of the others, so a string of L places is right with the L-th power of what one place is. At one place
a message is a channel: a matrix p(message | symbol) [M, A]. The decider has its own channel, what it sees, and the others'; the
best decision takes the likeliest symbol, and is right with probability Σ over messages of max over symbols of
Π p(message | symbol) / A.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from evals.tasks.evidence import ROUNDING, Floats, World, tenths


@dataclass(frozen=True)
class Optima:
    """Probability that the best decision is right, of one place.

    Attributes:
        single: of the first witness alone.
        text: with the others' likeliest symbols, of equals one drawn.
        shares: with the others' beliefs stated in tenths (`evidence.shares`).
        bayes: with all that everyone saw.
        length: places of a string.
    """

    single: float
    text: float
    shares: float
    bayes: float
    length: int

    def strings(self) -> dict[str, float]:
        """Return the same of whole strings."""
        return {name: getattr(self, name) ** self.length for name in ("single", "text", "shares", "bayes")}


def optima(world: World) -> Optima:
    """Return what the best decision of the first witness comes to with each kind of message from the others."""
    own, *others = (seen(world, witness) for witness in range(len(world.noise)))
    return Optima(
        single=best([own]),
        text=best([own, *map(said, others)]),
        shares=best([own, *map(stated, others)]),
        bayes=best([own, *others]),
        length=world.length,
    )


def seen(world: World, witness: int) -> Floats:
    """Return the channel of what a witness sees, [M, A]: rows that mean the same are one."""
    rows = []
    levels = world.noise[witness]
    for level in levels:
        likelihood = world.likelihood(level)
        for glimpses in product(range(world.symbols), repeat=world.glimpses):
            rows.append(np.prod(likelihood[list(glimpses)], axis=0) / len(levels))
    return _merged(np.array(rows))


def said(channel: Floats) -> Floats:
    """Return the channel of the likeliest symbol after a message of a channel, of equals one drawn: [A, A]."""
    found = np.zeros((channel.shape[1], channel.shape[1]))
    for row in channel:
        best_ones = np.flatnonzero(row >= row.max() * (1 - ROUNDING))
        found[best_ones] += row / len(best_ones)
    return found


def stated(channel: Floats) -> Floats:
    """Return the channel of beliefs stated in tenths, [M, A]: messages whose statements are the same are one."""
    return np.array(list(by_statement(channel).values()))


def by_statement(channel: Floats) -> dict[tuple[int, ...], Floats]:
    """Return what each statement in tenths says, digits [A] → p(statement | symbol) [A], for every possible one."""
    found: dict[tuple[int, ...], Floats] = {}
    for row in channel:
        key = tuple(map(int, tenths(row / row.sum())))
        found[key] = found.get(key, np.zeros_like(row)) + row
    return found


def best(channels: Sequence[Floats]) -> float:
    """Return the probability that the likeliest symbol after a message of each channel is the right one."""
    *first, last = channels
    joint = np.ones((1, last.shape[1]))
    for channel in first:
        joint = _merged((joint[:, None, :] * channel[None]).reshape(-1, channel.shape[1]))
    # The last one is not multiplied out: of three witnesses of eight symbols that would be a million rows.
    return float(sum((joint * row).max(axis=1).sum() for row in last) / last.shape[1])


def _merged(rows: Floats) -> Floats:
    """Return a channel in which messages that say the same, up to rounding, are one."""
    beliefs = np.round(rows / rows.sum(axis=1, keepdims=True), 12)
    _, place = np.unique(beliefs, axis=0, return_inverse=True)
    found = np.zeros((int(place.max()) + 1, rows.shape[1]))
    np.add.at(found, place.ravel(), rows)
    return found
