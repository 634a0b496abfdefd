"""The experiment of the witnesses as Markdown."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from agents.beliefs.claims import over_seeds
from evals.witnesses.table import BAYES, SINGLE, Cell, Witnessed, WorldTable


def markdown(found: Witnessed) -> str:
    """Return the tables of every world, with the hash of the runs that they are made of."""
    return "\n".join(_lines(found)) + "\n"


def finite(value: Any) -> Any:
    """Return nested dicts, lists and tuples with None for every number that is none (NaN): JSON has no NaN."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(found: Witnessed) -> Iterator[str]:
    yield f"Made by `debate witnesses` from runs {found.digest} (hash of every reading and decision)."
    for world in found.worlds:
        exact = world.optima.strings()
        yield ""
        yield f"### {world.name}: {world.questions:,} questions, training seeds {', '.join(map(str, world.seeds))}"
        yield ""
        header = (
            "| row | strings right, % (95 %) | places right, % | share of the possible gain (95 %) | by seed | tokens |"
        )
        yield from (header, "|---|---|---|---|---|---|")
        yield _exact("best decision alone", exact[SINGLE], exact)
        yield _exact("best decision after the likeliest symbols", exact["text"], exact)
        yield _exact("best decision after shares in tenths", exact["shares"], exact)
        yield _exact("best decision with all evidence (Bayes)", exact[BAYES], exact)
        yield from (_row(name, cell) for name, cell in _ordered(world))
        if world.pairs:
            yield ""
            yield "On the same questions, strings right, p corrected for all of these (Holm):"
            yield ""
            pairs = zip(world.pairs, world.by_seed, strict=True)
            yield from (f"- {pair.sentence}{_by_seed(differences)}" for pair, differences in pairs)
        yield from _calibration(world)
        yield from _statements(world)


def _by_seed(differences: Sequence[float]) -> str:
    """Return what each training seed has of a difference, and the interval over seeds; nothing of one seed alone."""
    if len(differences) < 2:
        return ""
    low, high = over_seeds(differences)
    each = ", ".join(f"{100 * difference:+.1f}" for difference in differences)
    return f"; by seed {each} (95 % over seeds {100 * low:+.1f} to {100 * high:+.1f})".replace("-", "−")


def _statements(world: WorldTable) -> Iterator[str]:
    for name, found in world.stated.items():
        yield ""
        yield (
            f"Shares as the second witness states them in `{name}`: {100 * found.readable:.1f} % of statements have the form, "
            f"{100 * found.exact:.1f} % of their digits are the exact ones, mean error {100 * found.error:.1f} points."
        )


def _ordered(world: WorldTable) -> list[tuple[str, Cell]]:
    return sorted(world.cells.items(), key=lambda item: (item[0] not in (BAYES, SINGLE), -item[1].gain))


def _exact(name: str, value: float, exact: dict[str, float]) -> str:
    possible = exact[BAYES] - exact[SINGLE]
    gain = (value - exact[SINGLE]) / possible if possible else float("nan")
    return f"| *{name}* | {100 * value:.1f} (exact) | | {gain:.2f} (exact) | | |"


def _row(name: str, cell: Cell) -> str:
    by_seed = " ".join(f"{gain:.2f}" for gain in cell.gain_by_seed)
    right = f"{100 * cell.right:.1f} ({100 * cell.interval.low:.1f} to {100 * cell.interval.high:.1f})"
    gain = f"{cell.gain:.2f} ({cell.gain_interval.low:.2f} to {cell.gain_interval.high:.2f})"
    shown = "Bayes, on these questions" if name == BAYES else f"`{name}`"
    tokens = f"{cell.tokens:.0f}" if cell.tokens else ""
    return f"| {shown} | {right} | {100 * cell.places:.1f} | {gain} | {by_seed} | {tokens} |"


def _calibration(world: WorldTable) -> Iterator[str]:
    if world.reader is not None:
        distance, error = world.reader
        yield ""
        yield (
            f"A witness alone, before it hears anything: {distance:.3f} nats a place from the exact belief, calibration error "
            f"{100 * error:.1f} points."
        )
    if not world.hearers:
        return
    levels = list(next(iter(world.hearers.values())).by_level)
    yield ""
    yield _cells(
        [
            "hearer",
            "slope",
            *(f"slope at noise {level / 10}" for level in levels),
            "nats from the best belief",
            "ECE, points",
        ]
    )
    yield "|" + "---|" * (len(levels) + 4)
    for name, hearer in world.hearers.items():
        slopes = [f"{hearer.slope:.2f}", *(f"{hearer.by_level[level]:.2f}" for level in levels)]
        yield _cells([f"`{name}`", *slopes, f"{hearer.distance:.3f}", f"{100 * hearer.error:.1f}"])


def _cells(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"
