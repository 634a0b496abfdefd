"""Circuit diagrams of operators, as SVG text: the same declarations give the same bytes (Abbott, 2024, arXiv:2402.05424).

A wire is an axis, dashes stand between tensors, a box is an operator. A wire of an axis that is carried past goes over the box:
the box is applied at each of its indices. The other wires end at the box or begin there.
"""

from collections.abc import Iterable, Sequence
from html import escape

from debate.axes.declared import Declared
from debate.axes.signature import Wire

COLOURS = ("#0072B2", "#D55E00", "#009E73")
"""Okabe and Ito's, of axes that are carried past, in order."""
PLAIN = "#444444"
WIDTH, LEFT, RIGHT = 760, 150, 610
BOX = (290, 470)
STEP, GAP, LANE, TOP = 15, 10, 13, 30
NAME_SIZE, AXIS_SIZE = 11, 10


def drawing(shown: Iterable[Declared]) -> str:
    """Return the diagrams of operators, one below the other."""
    parts: list[str] = []
    y = 0
    for each in shown:
        drawn, height = _panel(each, y)
        parts += drawn
        y += height
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
        'font-family="monospace">'
    )
    background = f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>'
    return "\n".join([head, background, *parts, "</svg>"]) + "\n"


def _panel(each: Declared, y: int) -> tuple[list[str], int]:
    """Return the elements of one operator's diagram that begins at y, and its height."""
    colours = dict(zip(each.over, COLOURS, strict=False))
    lanes = {axis: y + TOP + LANE * place for place, axis in enumerate(each.over)}
    top = y + TOP + LANE * len(each.over)
    left, left_height = _tensors(each.signature.inputs, top, colours, lanes, is_input=True)
    right, right_height = _tensors(each.signature.outputs, top, colours, lanes, is_input=False)
    height = max(left_height, right_height)
    box = (
        f'<rect x="{BOX[0]}" y="{top}" width="{BOX[1] - BOX[0]}" height="{height}" fill="#f4f4f4" '
        f'stroke="{PLAIN}" rx="3"/>'
    )
    middle = (BOX[0] + BOX[1]) // 2
    over = [
        f'<line x1="{BOX[0]}" y1="{place}" x2="{BOX[1]}" y2="{place}" stroke="{colours[axis]}" stroke-width="1.6"/>'
        for axis, place in lanes.items()
    ]
    inside = "believe" if each.modality else "encode" if ":" in each.name else each.name
    name = _text(middle, top + height // 2 + 4, inside, size=NAME_SIZE, anchor="middle")
    title = _text(8, y + 16, each.name, size=12, weight="bold")
    return [title, box, *over, *left, *right, name], top + height + 2 * GAP - y


def _tensors(
    wires: Sequence[Wire], top: int, colours: dict[str, str], lanes: dict[str, int], *, is_input: bool
) -> tuple[list[str], int]:
    """Return the elements of all tensors on one side, and how high they are."""
    outer, edge = (LEFT, BOX[0]) if is_input else (RIGHT, BOX[1])
    parts: list[str] = []
    y = top
    for place, wire in enumerate(wires):
        if place:
            parts.append(
                f'<line x1="{min(outer, edge)}" y1="{y}" x2="{max(outer, edge)}" y2="{y}" stroke="#bbbbbb" '
                'stroke-dasharray="4 3"/>'
            )
        height = STEP * max(len(wire.axes), 1)
        anchor, x = ("end", outer - 26) if is_input else ("start", outer + 26)
        parts.append(_text(x, y + height // 2 + 4, wire.name, size=NAME_SIZE, anchor=anchor))
        for line, axis in enumerate(wire.axes):
            at = y + STEP * line + STEP // 2
            colour = colours.get(axis, PLAIN)
            parts.append(_wire(outer, edge, at, lanes.get(axis), colour))
            parts.append(_text(outer - 6 if is_input else outer + 6, at + 4, axis, colour=colour, anchor=anchor))
        y += height + (GAP if place < len(wires) - 1 else 0)
    return parts, y - top


def _wire(outer: int, edge: int, y: int, lane: int | None, colour: str) -> str:
    """Return an axis: straight to the box, or up into its lane."""
    if lane is None:
        return f'<line x1="{outer}" y1="{y}" x2="{edge}" y2="{y}" stroke="{colour}" stroke-width="1.2"/>'
    toward = 1 if edge > outer else -1
    bend = outer + toward * 70
    return (
        f'<path d="M {outer} {y} C {bend} {y} {bend - toward * 20} {lane} {edge} {lane}" fill="none" stroke="{colour}" '
        'stroke-width="1.6"/>'
    )


def _text(
    x: int,
    y: int,
    text: str,
    *,
    size: int = AXIS_SIZE,
    anchor: str = "start",
    colour: str = "#222222",
    weight: str = "",
) -> str:
    heavy = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"{heavy}>{escape(text)}</text>'
    )
