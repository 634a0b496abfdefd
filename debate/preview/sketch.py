"""A topology in the terminal: who hears whom as a matrix, and as lists where there are too many agents for one."""

from typing import TYPE_CHECKING

from debate.topology.edge import Edge

if TYPE_CHECKING:
    from debate.config.schema import DebateConfig
    from debate.protocol.exchange import Exchange

MARKS = {"text": "t", "cipher": "C", "both": "B"}
MOST_COLUMNS = 24


def sketch(config: "DebateConfig", exchange: "Exchange") -> str:
    """Return a drawing in characters: rows hear columns; t text, C CIPHER, B both."""
    whole = exchange.topology.union()
    names = exchange.topology.names
    width = max(len(name) for name in names)
    rows = []
    if len(names) <= MOST_COLUMNS:
        marks = [_column(place) for place in range(len(names))]
        rows.append(f"{'':{width}}     hears {' '.join(marks)}")
        for place, hearer in enumerate(names):
            cells = []
            for speaker in names:
                edge = whole.get_edge_data(speaker, hearer)
                cells.append("\\" if speaker == hearer else _mark(edge) if edge is not None else "·")
            rows.append(f"{hearer:{width}}  {marks[place]}        {' '.join(cells)}")
    else:
        for hearer in names:
            heard = sorted(whole.pred[hearer], key=exchange.planned.seats.__getitem__)
            listed = " ".join(f"{name}({_mark(whole.edges[name, hearer])})" for name in heard[:8])
            more = f" and {len(heard) - 8} more" if len(heard) > 8 else ""
            rows.append(f"{hearer:{width}}  ← {listed or 'nobody'}{more}")
    rows.append("t text, C CIPHER, B both; · not heard")
    return "\n".join(rows)


def _mark(data: dict[str, object]) -> str:
    edge = data.get("edge")
    return MARKS[edge.message if isinstance(edge, Edge) else "cipher"]


def _column(place: int) -> str:
    return chr(ord("a") + place)
