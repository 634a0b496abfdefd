"""A belief about a sequence: one over the labels at each of its positions. Values and arithmetic, no model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agents.beliefs.belief import Belief
from agents.errors import BeliefError

BETWEEN = " "
"""Between the labels of a sequence that is said."""


@dataclass(frozen=True)
class BeliefSequence:
    """How probable each label is at each position; how many positions there are is not in doubt.

    Attributes:
        labels: different from each other, in the task's order.
        positions: one belief a position, each over these labels and none an abstention; none of an abstention.
        abstention: why there is no belief; empty where there is one.
        grounds: explanation of the belief in words, if the backend gives one.

    Raises:
        BeliefError: no position and no abstention, or a position with other labels or an abstention of its own.
    """

    labels: tuple[str, ...]
    positions: tuple[Belief, ...]
    abstention: str = ""
    grounds: str = ""

    def __post_init__(self) -> None:
        if bool(self.abstention) == bool(self.positions):
            raise BeliefError(
                "a belief about a sequence has positions, or abstains with a reason; it does not do both or neither"
            )
        if wrong := next((each for each in self.positions if each.labels != self.labels or each.abstention), None):
            raise BeliefError(
                f"every position has a belief over {', '.join(self.labels)}; got {wrong.abstention or ', '.join(wrong.labels)}"
            )

    @classmethod
    def abstain(cls, labels: Sequence[str], reason: str) -> "BeliefSequence":
        """Return no belief, and why."""
        return cls(tuple(labels), (), abstention=reason)

    @property
    def best(self) -> str | None:
        """The most probable label of each position, a space between them; None of an abstention."""
        return BETWEEN.join(each.best or "" for each in self.positions) or None

    def at(self, temperature: float) -> "BeliefSequence":
        """Return the belief with each position at a temperature; see `Belief.at`."""
        return replace(self, positions=tuple(each.at(temperature) for each in self.positions))


Believed = Belief | BeliefSequence


def pooled(
    pool: Callable[[Sequence[Belief]], Belief], own: BeliefSequence, others: Sequence[BeliefSequence]
) -> BeliefSequence:
    """Return one's own belief with each position pooled with the positions of others that stand for it; its length stays.

    Others may have heard more or fewer positions than oneself: see `matched`.
    """
    heard = [matched(own, other) for other in others if not other.abstention]
    positions = []
    for place, belief in enumerate(own.positions):
        positions.append(pool([belief, *(found for each in heard if (found := each[place]) is not None)]))
    return replace(own, positions=tuple(positions))


def matched(own: BeliefSequence, other: BeliefSequence) -> list[Belief | None]:
    """Return the other's position that stands for each of one's own, in order; None where it has none.

    Of all ways to match positions in order, the one with the highest expected number of agreements Σ_v p(v) q(v); of equals the
    one that matches more.
    """

    def agreement(one: Belief, two: Belief) -> float:
        return sum(p * q for p, q in zip(one.probabilities, two.probabilities, strict=True))

    rows, columns = len(own.positions), len(other.positions)
    # The best of what is left from a place of each on: agreements, then matches.
    best = [[(0.0, 0)] * (columns + 1) for _ in range(rows + 1)]
    for row in reversed(range(rows)):
        for column in reversed(range(columns)):
            agreed, count = best[row + 1][column + 1]
            both = (agreed + agreement(own.positions[row], other.positions[column]), count + 1)
            best[row][column] = max(both, best[row + 1][column], best[row][column + 1])
    found: list[Belief | None] = [None] * rows
    row = column = 0
    while row < rows and column < columns:
        if best[row][column] == best[row + 1][column]:
            row += 1
        elif best[row][column] == best[row][column + 1]:
            column += 1
        else:
            found[row] = other.positions[column]
            row, column = row + 1, column + 1
    return found
