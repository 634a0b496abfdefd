"""A solution in steps: its lines, their sentences, and equations that commas part; the line of the answer is none."""

import random
import re
from collections.abc import Sequence

_BREAK = re.compile(r"\n+|(?<=[.!?])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)\s+|,\s+(?=-?\d+\s*[-+*/]\s*\d+\s*=)")
_MARK = re.compile(
    r"^[ \t]*(?:[-*•]|\(?\d{1,2}[.)]|[*_]{0,2}step[ \t]+\d{1,2}[*_]{0,2}[:.)][*_]{0,2})[ \t]+", re.I | re.M
)
_ANSWER = re.compile(r"^(?:####|[*_ ]*(?:(?:so|thus|therefore|hence),? )?(?:the |our |final )*answer\b)", re.IGNORECASE)


def steps_of(solution: str) -> tuple[str, ...]:
    """Return the steps of a solution, in its order.

    What would tell a step's place is left out: the marks that end it, since a full stop may stand behind the last of several
    alone, its number or bullet in a list, and the line that states the answer, whose place is always the last.
    """
    found = (step.strip().rstrip(".,;:").strip() for step in _BREAK.split(_MARK.sub("", solution)))
    return tuple(step for step in found if step and not _ANSWER.match(step))


def shuffled(steps: Sequence[str], count: int, draw: random.Random) -> list[tuple[str, ...]]:
    """Return up to `count` other orders of some steps, none of which reads as another; fewer where there are no more."""
    found: dict[tuple[str, ...], None] = {}
    given = tuple(steps)
    # Few steps have few orders: what is not found in so many draws is not there.
    for _ in range(50 * count):
        if len(found) == count:
            break
        order = tuple(draw.sample(given, len(given)))
        if order != given:
            found[order] = None
    return list(found)


def exchanged(steps: Sequence[str], draw: random.Random) -> tuple[str, ...] | None:
    """Return some steps with two neighbours exchanged that differ; None where there are no such."""
    places = [place for place in range(len(steps) - 1) if steps[place] != steps[place + 1]]
    if not places:
        return None
    place = draw.choice(places)
    return (*steps[:place], steps[place + 1], steps[place], *steps[place + 2 :])
