"""How far answers agree: pure, and in proportion to their number."""

from collections import Counter
from collections.abc import Iterable


def agreement(answers: Iterable[str | None]) -> float | None:
    """Return the share of pairs of answers that are one; None of fewer than two answers. No answer agrees with nothing."""
    given = list(answers)
    alike = sum(count * (count - 1) // 2 for answer, count in Counter(given).items() if answer is not None)
    pairs = len(given) * (len(given) - 1) // 2
    return alike / pairs if pairs else None
