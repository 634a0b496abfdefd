"""What witnesses stated of their beliefs in text, against what they may believe: is the speaker or the hearer at fault?

L places, A symbols.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.tasks.evidence import TENTHS, Floats, Line, World, pooled, posterior, read_shares, tenths


@dataclass(frozen=True)
class Stated:
    """How the second witness states its shares, and what they are worth to the first.

    Attributes:
        readable: share of statements that have the form of one.
        exact: share of their digits that are those of the exact belief.
        error: mean distance of a stated share from the exact one, as probabilities; a digit stands for the middle of its tenth.
        best: share of strings that are right where the first witness makes the best of it: its exact belief times the stated one.
            A statement that is none counts as nothing heard.
    """

    readable: float
    exact: float
    error: float
    best: float


def stated(
    world: World, said: Mapping[str, str], lines: Mapping[str, Sequence[Line]], targets: Mapping[str, str]
) -> Stated:
    """Return what statements come to.

    Args:
        world: how strings are hidden and seen.
        said: question → what the second witness stated.
        lines: question → what each witness saw.
        targets: question → the hidden string.
    """
    exact, errors, right = [], [], []
    for question, text in said.items():
        own, other = (posterior(world, line) for line in lines[question][:2])
        digits = read_shares(world, text)
        heard = np.ones_like(own) if digits is None else meant(digits)
        if digits is not None:
            exact.append(digits == tenths(other))
            errors.append(np.abs(heard / heard.sum(axis=1, keepdims=True) - other))
        best = pooled([own, heard]).argmax(axis=1)
        right.append("".join(world.letters[int(place)] for place in best) == targets[question])
    return Stated(
        readable=len(exact) / len(said),
        exact=float(np.mean(exact)) if exact else float("nan"),
        error=float(np.mean(errors)) if errors else float("nan"),
        best=float(np.mean(right)),
    )


def meant(digits: np.ndarray) -> Floats:
    """Return the shares [L, A] that digits stand for: the middle of each one's tenth."""
    found: Floats = (digits + 0.5) / TENTHS
    return found
