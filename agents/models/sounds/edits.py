"""What was understood against what was said: the fewest insertions, deletions and substitutions (Levenshtein, 1966)."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def aligned(said: Sequence[T], wanted: Sequence[T]) -> list[tuple[int | None, int | None]]:
    """Return pairs of places that stand for each other, in order: None beside what was inserted or left out.

    Of all pairings with the fewest edits one, the same each time.
    """
    rows, columns = len(said), len(wanted)
    # The fewest edits of what is left from a place of each on.
    left = [[rows - row + columns - column for column in range(columns + 1)] for row in range(rows + 1)]
    for row in reversed(range(rows)):
        for column in reversed(range(columns)):
            left[row][column] = min(
                left[row + 1][column + 1] + (said[row] != wanted[column]),
                left[row + 1][column] + 1,
                left[row][column + 1] + 1,
            )
    pairs: list[tuple[int | None, int | None]] = []
    row = column = 0
    while row < rows and column < columns:
        if left[row][column] == left[row + 1][column + 1] + (said[row] != wanted[column]):
            pairs.append((row, column))
            row, column = row + 1, column + 1
        elif left[row][column] == left[row + 1][column] + 1:
            pairs.append((row, None))
            row += 1
        else:
            pairs.append((None, column))
            column += 1
    return [
        *pairs,
        *((place, None) for place in range(row, rows)),
        *((None, place) for place in range(column, columns)),
    ]


def edits(said: Sequence[T], wanted: Sequence[T]) -> int:
    """Return how many insertions, deletions and substitutions make one of the other, at least."""
    return sum(one is None or other is None or said[one] != wanted[other] for one, other in aligned(said, wanted))
