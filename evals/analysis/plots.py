"""The picture of a training, and curves, as SVG text: the same numbers give the same bytes.

matplotlib, without its global state.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from agents.beliefs.claims import over_seeds
from agents.beliefs.curves import Curves
from agents.errors import MissingDependency

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#444444")
"""Okabe and Ito's, told apart by colour-blind readers."""
MARKERS = "osD^vP*X"


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


def curves(drawn: Curves) -> str:
    """Lines over an axis: means over seeds, with their 95 % intervals shaded where there are several seeds."""
    figure, axes = _axes(drawn.across, drawn.up)
    for place, (name, rows) in enumerate(drawn.lines.items()):
        means = [sum(row) / len(row) for row in rows]
        colour, again = COLOURS[place % len(COLOURS)], place >= len(COLOURS)
        look = {"color": colour, "marker": MARKERS[place % len(MARKERS)], "linestyle": "--" if again else "-"}
        places = drawn.places[: len(means)]
        axes.plot(places, means, markersize=3, label=name, **look)
        if min(map(len, rows)) > 1:
            low, high = zip(*map(over_seeds, rows), strict=True)
            # An interval that reaches 0 has no end on a logarithmic axis.
            floor = (
                [max(value, mean / 2) for value, mean in zip(low, means, strict=True)] if drawn.is_logarithmic else low
            )
            axes.fill_between(places, floor, high, color=colour, alpha=0.15, linewidth=0)
    if drawn.is_logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    return _svg(figure)


def lines(across: str, up: str, rows: Mapping[str, Sequence[float]]) -> str:
    """A line for each name, its figures at 0, 1, 2 … of the axis across; lines may end at different places."""
    figure, axes = _axes(across, up)
    for place, (name, values) in enumerate(rows.items()):
        again = place >= len(COLOURS)
        look = {"color": COLOURS[place % len(COLOURS)], "linestyle": "--" if again else "-"}
        axes.plot(range(len(values)), values, marker=MARKERS[place % len(MARKERS)], markersize=3, label=name, **look)
    axes.set_ylim(bottom=0)
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
