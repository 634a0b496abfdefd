"""Errors by number of loops as a picture: SVG text, the same bytes of the same numbers."""

import io
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def figure(curves: Mapping[str, Sequence[Sequence[float]]], trained: Mapping[str, int]) -> str:
    """Return a drawing of mean errors by number of loops, a panel a family; a dot marks the number of loops of training.

    Args:
        curves: "FAMILY, MODEL" → a list a training seed, of the mean squared errors after 1, 2, … loops.
        trained: "FAMILY, MODEL" → loops of training.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys(key.partition(", ")[0] for key in curves))
    models = list(dict.fromkeys(key.partition(", ")[2] for key in curves))
    named: set[str] = set()
    drawing = Figure(figsize=(8.0, 3.4), layout="constrained")
    FigureCanvasSVG(drawing)
    grid: Any = drawing.subplots(1, len(panels), squeeze=False)
    for axes, family in zip(grid[0], panels, strict=True):
        for key, seeds in curves.items():
            panel, _, model = key.partition(", ")
            if panel != family:
                continue
            colour = COLOURS[models.index(model)]
            means = [fmean(each) for each in zip(*seeds, strict=True)]
            places = range(1, len(means) + 1)
            for each in seeds:
                axes.plot(places, each, color=colour, linewidth=0.5, alpha=0.5)
            axes.plot(places, means, color=colour, label=None if model in named else model)
            named.add(model)
            axes.plot([trained[key]], [means[trained[key] - 1]], "o", color=colour, markersize=5)
        axes.set_title(family, fontsize="medium")
        axes.set_xlabel("loops (dot: as in training)")
        axes.set_ylabel("squared error after ten examples")
        axes.set_yscale("log")
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    drawing.legend(loc="outside upper left", ncols=len(models), frameon=False, fontsize="small")
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "cipher-debate", "font.family": "sans-serif"}
    with matplotlib.rc_context(style):
        file = io.StringIO()
        drawing.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    drawn = file.getvalue()
    return drawn[drawn.index("<svg") :]
