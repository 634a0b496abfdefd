"""What witnesses stated of their beliefs in text, against what they may believe: is the speaker or the hearer at fault?

L places, A symbols.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.tasks.evidence import (
    TENTHS,
    Digits,
    Floats,
    Line,
    World,
    first_likeliest,
    pooled,
    posterior,
    read_shares,
    tenths,
)
from evals.tasks.optima import by_statement, seen


@dataclass(frozen=True)
class Stated:
    """How the other witnesses state their shares, and what they are worth to the first.

    Attributes:
        readable: share of statements that have the form of one; NaN where there are none.
        exact: share of their digits that are those of the exact belief.
        error: mean distance of the belief that a statement stands for (`Reader`) from the exact one, as probabilities.
    """

    readable: float
    exact: float
    error: float


class Reader:
    """Reads a witness's digits as the belief that they stand for.

    Digits of a possible belief stand for what may be believed after hearing them: the average of the posteriors that are
    stated so, each as often as it comes. In most worlds that is one posterior, known exactly. Digits that no posterior has
    stand for the middle of each one's tenth.

    Args:
        world: how strings are hidden and seen.
        witness: whose digits, counted from 0.
    """

    def __init__(self, world: World, witness: int) -> None:
        self._known = by_statement(seen(world, witness))

    def __call__(self, digits: Digits) -> Floats:
        """Return the belief [L, A] that digits [L, A] stand for."""
        rows = [self._known.get(tuple(map(int, row)), (row + 0.5) / TENTHS) for row in digits]
        return np.array([row / row.sum() for row in rows])


def stated(
    world: World, said: Mapping[str, Sequence[str]], lines: Mapping[str, Sequence[Line]]
) -> tuple[Stated, dict[str, str]]:
    """Return how shares are stated, and the first witness's best answers after that, by question.

    The best answer is the likeliest string by its own exact belief times what the statements stand for (`Reader`), of equals the
    first; a statement that is none counts as nothing heard. After exact statements it is the best decision that shares in tenths
    allow (`Optima.shares`).

    Args:
        world: how strings are hidden and seen.
        said: question → what the second witness stated, the third, and so on; those that stated nothing at the end are left out.
        lines: question → what each witness saw.
    """
    readers = [Reader(world, witness) for witness in range(1, len(world.noise))]
    exact, errors, answers, asked = [], [], {}, 0
    for question, texts in said.items():
        own, *others = (posterior(world, line) for line in lines[question])
        beliefs = [own]
        for text, other, read in zip(texts, others, readers, strict=False):
            asked += 1
            if (digits := read_shares(world, text)) is None:
                continue
            beliefs.append(read(digits))
            exact.append(digits == tenths(other))
            errors.append(np.abs(beliefs[-1] - other))
        answers[question] = first_likeliest(world, pooled(beliefs))
    found = Stated(
        readable=len(exact) / asked if asked else float("nan"),
        exact=float(np.mean(exact)) if exact else float("nan"),
        error=float(np.mean(errors)) if errors else float("nan"),
    )
    return found, answers
