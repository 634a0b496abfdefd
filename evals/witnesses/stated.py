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
    """

    readable: float
    exact: float
    error: float


def stated(world: World, said: Mapping[str, str], lines: Mapping[str, Sequence[Line]]) -> tuple[Stated, dict[str, str]]:
    """Return how shares are stated, and the first witness's best answers after that, by question.

    The best answer is the likeliest string by its own exact belief times the stated one, of equals the first; a statement that is
    none counts as nothing heard. It is what a hearer could come to that reads every digit and weighs it rightly.

    Args:
        world: how strings are hidden and seen.
        said: question → what the second witness stated.
        lines: question → what each witness saw.
    """
    exact, errors, answers = [], [], {}
    for question, text in said.items():
        own, other = (posterior(world, line) for line in lines[question][:2])
        digits = read_shares(world, text)
        heard = np.ones_like(own) if digits is None else meant(digits)
        if digits is not None:
            exact.append(digits == tenths(other))
            errors.append(np.abs(heard / heard.sum(axis=1, keepdims=True) - other))
        best = pooled([own, heard]).argmax(axis=1)
        answers[question] = "".join(world.letters[int(place)] for place in best)
    found = Stated(
        readable=len(exact) / len(said),
        exact=float(np.mean(exact)) if exact else float("nan"),
        error=float(np.mean(errors)) if errors else float("nan"),
    )
    return found, answers


def meant(digits: np.ndarray) -> Floats:
    """Return the shares [L, A] that digits stand for: the middle of each one's tenth."""
    found: Floats = (digits + 0.5) / TENTHS
    return found
