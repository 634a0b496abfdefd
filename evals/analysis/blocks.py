"""What a report is made of: headings, sentences, tables, charts. Plain JSON values, which the viewer's page draws.

Numbers are shown as they stand here; nothing is computed in the browser but where a point lies.
"""

from collections.abc import Sequence
from typing import Any

Block = dict[str, Any]


def heading(text: str, level: int = 3) -> Block:
    """Return a heading; the page's own title has level 1."""
    return {"kind": "heading", "level": level, "text": text}


def text(sentence: str) -> Block:
    """Return a paragraph."""
    return {"kind": "text", "text": sentence}


def note(sentence: str) -> Block:
    """Return a paragraph in small print: how to read what stands before it."""
    return {"kind": "note", "text": sentence}


def items(sentences: Sequence[str]) -> Block:
    """Return a list of sentences."""
    return {"kind": "list", "items": list(sentences)}


def table(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    methods: bool = False,
    dim: Sequence[int] = (),
) -> Block:
    """Return a table.

    Args:
        caption: what it shows, read before it.
        header: of the columns.
        rows: cells, shown as text.
        methods: the first column names methods, which have colours.
        dim: the rows to show weaker, by their places.
    """
    shown = [[str(cell) for cell in row] for row in rows]
    return {
        "kind": "table",
        "caption": caption,
        "header": list(header),
        "rows": shown,
        "methods": methods,
        "dim": list(dim),
    }


def details(summary: str, content: str) -> Block:
    """Return a text that is opened by its summary."""
    return {"kind": "details", "summary": summary, "text": content}


def chart(
    title: str,
    caption: str,
    x: str,
    y: str,
    series: Sequence[dict[str, Any]],
    *,
    form: str = "lines",
    **how: Any,
) -> Block:
    """Return a chart.

    Args:
        title: its name.
        caption: what it shows and how to read it.
        x, y: what the axes measure, with units.
        series: each of `line`'s.
        form: `lines`, `bars` (one series; the x of a point is its name), or `dots` (coloured by a third number).
        how: `ymin`, `ymax`, `ticks` (whole numbers on x), `diagonal` (x = y is drawn).
    """
    return {
        "kind": "chart",
        "title": title,
        "caption": caption,
        "x": x,
        "y": y,
        "series": list(series),
        "form": form,
        **how,
    }


def line(name: str, points: Sequence[Sequence[Any]], *, method: str | None = None) -> dict[str, Any]:
    """Return a series of a chart.

    Args:
        name: in the legend.
        points: [x, y] or [x, y, low, high], of dots [x, y, value]; a text at the end is said in the tooltip.
        method: whose colour it has; by default its own place's.
    """
    return {"name": name, "method": name if method is None else method, "points": [list(point) for point in points]}
