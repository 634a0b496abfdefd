"""Pictures of an analysis as SVG text: the same numbers give the same bytes. matplotlib, without its global state."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from agents.errors import MissingDependency
from evals.analysis.derived import Warn, derived, warn_user
from evals.analysis.summary import Analysis, Share, Summary

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#444444")
"""Okabe and Ito's, told apart by colour-blind readers."""
MARKERS = "osD^vP*X"
# Of a line with more points the intervals are a band.
MOST_BARS = 8


def figures(analysis: Analysis, warn: Warn = warn_user) -> dict[str, str | None]:
    """Return title → SVG of every picture that the run has numbers for; None for one that failed, which `warn` is told of."""
    pictures = {
        "Accuracy by round": by_round,
        "Accuracy against generated tokens": against_budget,
        "Agreement by round": agreement,
        "Entropy by position": entropy,
        "Calibration of beliefs": reliability,
    }
    drawn: dict[str, str | None] = {}
    for title, draw in pictures.items():
        drawn[title] = None
        with derived(f"the picture {title!r}", warn):
            if (svg := draw(analysis.methods)) is None:
                del drawn[title]
            else:
                drawn[title] = svg
    return drawn


def by_round(methods: Sequence[Summary]) -> str | None:
    """Accuracy of the deciding agent after each round, with Wilson's intervals."""
    shown = [method for method in methods if len(method.rounds) > 1]
    if not shown:
        return None
    figure, axes = _axes("round", "accuracy, %")
    for place, method in enumerate(shown):
        numbers = [found.number + 0.06 * (place - (len(shown) - 1) / 2) for found in method.rounds]
        _with_intervals(axes, numbers, [found.deciding for found in method.rounds], method.name, place)
    axes.set_xticks(range(1, 1 + max(len(method.rounds) for method in shown)))
    return _svg(figure)


def against_budget(methods: Sequence[Summary]) -> str | None:
    """Accuracy for the mean generated tokens a question: debates round by round, votes sample by sample."""
    shown = [method for method in methods if method.curve and not method.is_bound]
    if not shown:
        return None
    figure, axes = _axes("generated tokens a question", "accuracy, %")
    for place, method in enumerate(shown):
        tokens = [point.tokens for point in method.curve]
        _with_intervals(axes, tokens, [point.accuracy for point in method.curve], method.name, place)
    return _svg(figure)


def agreement(methods: Sequence[Summary]) -> str | None:
    """Share of pairs of agents that give one answer, after each round."""
    shown = [method for method in methods if len(method.rounds) > 1 and method.rounds[0].agreement is not None]
    if not shown:
        return None
    figure, axes = _axes("round", "agreement, %")
    for place, method in enumerate(shown):
        numbers = [found.number for found in method.rounds]
        values = [100 * (found.agreement or 0.0) for found in method.rounds]
        axes.plot(numbers, values, label=method.name, **_style(place))
    axes.set_xticks(range(1, 1 + max(len(method.rounds) for method in shown)))
    return _svg(figure)


def entropy(methods: Sequence[Summary]) -> str | None:
    """Mean entropy of agents' beliefs by position in the message."""
    shown = [method for method in methods if method.entropy]
    if not shown:
        return None
    figure, axes = _axes("position in the message", "entropy, nats")
    for place, method in enumerate(shown):
        # Positions that few messages reach say something of those few only.
        most = max(number for _, number in method.entropy)
        values = [mean for mean, number in method.entropy if number >= most / 10]
        style: Any = {**_style(place), "marker": None}
        axes.plot(range(1, len(values) + 1), values, label=method.name, **style)
    axes.set_ylim(bottom=0)
    return _svg(figure)


def reliability(methods: Sequence[Summary]) -> str | None:
    """Accuracy against confidence, ten bins; on the diagonal beliefs are calibrated."""
    shown = [method for method in methods if method.calibration is not None]
    if not shown:
        return None
    figure, axes = _axes("confidence, %", "accuracy, %")
    axes.plot([0, 100], [0, 100], color="#999999", linewidth=1, linestyle=":")
    for place, method in enumerate(shown):
        assert method.calibration is not None
        held = [100 * found.confidence for found in method.calibration.bins]
        right = [100 * found.accuracy for found in method.calibration.bins]
        axes.plot(held, right, label=f"{method.name}, ECE {method.calibration.error:.2f}", **_style(place))
    return _svg(figure)


def bars(values: Sequence[tuple[str, float]], label: str) -> str:
    """Horizontal bars, the largest on top."""
    figure, axes = _axes(label, "", height=0.6 + 0.4 * len(values))
    ordered = sorted(values, key=lambda pair: pair[1])
    axes.barh([name for name, _ in ordered], [value for _, value in ordered], color=COLOURS[0])
    axes.grid(axis="y", visible=False)
    return _svg(figure, legend=False)


def contour(
    x: Sequence[float], y: Sequence[float], accuracy: Sequence[float], labels: tuple[str, str], best: int
) -> str | None:
    """Accuracy over two temperatures as in the paper's Fig. 5; None of fewer than four points, or points on a line."""
    figure, axes = _axes(*labels)
    percent = [100 * value for value in accuracy]
    try:
        drawn = axes.tricontourf(x, y, percent, levels=12, cmap="viridis")
    except (ValueError, RuntimeError):
        # Fewer than three points, or all on one line: there is no surface.
        return None
    figure.colorbar(drawn, ax=axes, label="accuracy, %")
    axes.scatter(x, y, s=14, color="white", edgecolors="black", linewidths=0.6)
    axes.scatter([x[best]], [y[best]], s=110, marker="*", color="#D55E00", edgecolors="black", linewidths=0.6)
    axes.grid(visible=False)
    return _svg(figure, legend=False)


def _with_intervals(axes: Any, x: Sequence[float], shares: Sequence[Share], name: str, place: int) -> None:
    values = [100 * share.value for share in shares]
    low = [max(0.0, 100 * (share.value - share.interval.low)) for share in shares]
    high = [max(0.0, 100 * (share.interval.high - share.value)) for share in shares]
    if len(values) <= MOST_BARS:
        axes.errorbar(x, values, yerr=[low, high], label=name, capsize=3, elinewidth=1, **_style(place))
        return
    (line,) = axes.plot(x, values, label=name, **{**_style(place), "markersize": 3})
    ends = [[100 * share.interval.low for share in shares], [100 * share.interval.high for share in shares]]
    axes.fill_between(x, *ends, color=line.get_color(), alpha=0.15, linewidth=0)


def _style(place: int) -> dict[str, Any]:
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "markersize": 5,
        "linewidth": 1.6,
        "linestyle": "-" if place < len(COLOURS) else "--",
    }


def training(history: Sequence[Mapping[str, Any]]) -> str:
    """Held-out loss, and the share of single answers and of debate turns that are right, by training step."""
    figure, axes = _axes("step", "right, %")
    steps = [look["step"] for look in history]
    for place, (key, label) in enumerate((("solve", "single answers"), ("debate", "debate turns"))):
        shares = [100 * look[key] for look in history]
        axes.plot(steps, shares, color=COLOURS[place], marker=MARKERS[place], markersize=3, label=label)
    axes.set_ylim(0, 100)
    losses = axes.twinx()
    losses.set_ylabel("held-out loss (dashed)")
    losses.plot(steps, [look["loss"] for look in history], color=COLOURS[-1], linestyle="--")
    losses.set_yscale("log")
    return _svg(figure)


def _axes(x: str, y: str, *, height: float = 3.6) -> tuple[Any, Any]:
    try:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingDependency("plots", "matplotlib", "evals") from error
    figure = Figure(figsize=(6.4, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any, *, legend: bool = True) -> str:
    import matplotlib
    from matplotlib.text import Text

    if legend:
        # Above the axes: inside they would hide intervals.
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize="small")
    # A method may be called `$\frac{$`: names are words, not mathematics.
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    # Text stays text, names inside the file follow from its content, and no date is written.
    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "cipher-debate",
        "font.family": "sans-serif",
        "text.parse_math": False,
    }
    with matplotlib.rc_context(style):
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    drawn = file.getvalue()
    return drawn[drawn.index("<svg") :]
