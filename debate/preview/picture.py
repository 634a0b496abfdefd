"""A topology as a figure for a paper: agents coloured by model, edges by how they are heard (extra `viz`)."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx

from agents.errors import ConfigError, MissingDependency, writing_failed
from debate.preview.facts import facts, model_of
from debate.topology.edge import PLAIN
from debate.topology.generators import Graph

if TYPE_CHECKING:
    from debate.config.schema import DebateConfig
    from debate.protocol.exchange import Exchange

# Okabe and Ito's colours, told apart by colour-blind readers too.
NODE_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2", "#999999")
EDGE_STYLES: dict[str, dict[str, Any]] = {
    "cipher": {"color": "#D55E00", "linestyle": "solid", "label": "CIPHER"},
    "text": {"color": "#555555", "linestyle": (0, (4, 2)), "label": "text"},
    "both": {"color": "#7A3E9D", "linestyle": "dashdot", "label": "both"},
}
FORMATS = (".svg", ".png", ".pdf")
MOST_LABELS = 60
TEAMS_RADIUS = 1.5
Positions = dict[str, tuple[float, float]]


def draw(config: "DebateConfig", exchange: "Exchange", out: Path, *, title: str = "") -> Path:
    """Write the picture of a topology and return its path.

    Raises:
        MissingDependency: matplotlib is not installed.
        ConfigError: the ending is none of .svg, .png, .pdf.
    """
    if out.suffix not in FORMATS:
        raise ConfigError(f"{out}: a picture ends in {', '.join(FORMATS)}; without --out it is drawn in the terminal")
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise MissingDependency("drawing a picture", "matplotlib", "viz") from error
    # Text stays text, and equal pictures are equal bytes.
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "topology", "font.family": "sans-serif", "text.parse_math": False}
    ):
        figure = _figure(config, exchange, title)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            undated = {"Date": None} if out.suffix == ".svg" else {"CreationDate": None} if out.suffix == ".pdf" else {}
            figure.savefig(out, bbox_inches="tight", dpi=200, metadata=undated)
        except OSError as error:
            raise writing_failed(out, error) from error
    return out


def layout(graph: Graph, judges: tuple[str, ...], groups: dict[str, tuple[str, ...]]) -> Positions:
    """Return where agents stand: layers from left to right, teams in circles of their own, else one circle; judges inside."""
    names = [name for name in graph if name not in judges]
    layers = {name: graph.nodes[name].get("layer") for name in names}
    teams = _teams(graph, names, groups)
    if any(layer is not None for layer in layers.values()):
        positions = _columns({name: layer or 0 for name, layer in layers.items()})
    elif nx.is_directed_acyclic_graph(graph.subgraph(names)) and graph.subgraph(names).number_of_edges():
        ranks = nx.topological_generations(graph.subgraph(names))
        positions = _columns({name: rank for rank, layer in enumerate(ranks) for name in layer})
    elif len(teams) > 1 and _is_dense_inside(graph, teams):
        positions = _clusters(teams)
    else:
        hubs = [name for name in names if len(names) > 3 and graph.degree(name) >= 2 * (len(names) - 1)]
        inside = hubs[0] if len(hubs) == 1 else None
        positions = _circle([name for name in names if name != inside], 1.0)
        if inside is not None:
            positions[inside] = (0.0, 0.0)
    right = max((x for x, _ in positions.values()), default=0.0)
    is_free = all(math.hypot(x, y) > 0.5 for x, y in positions.values())
    for place, judge in enumerate(judges):
        offset = (place - (len(judges) - 1) / 2) * 0.6
        positions[judge] = (offset, 0.0) if is_free else (right + 0.9, offset)
    return positions


def _figure(config: "DebateConfig", exchange: "Exchange", title: str) -> Any:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    whole = exchange.topology.union()
    positions = layout(whole, exchange.planned.judges, dict(config.groups))
    size = 4.6 if len(whole) <= 12 else 6.0 if len(whole) <= 40 else 8.0
    figure = Figure(figsize=(size * 1.25, size))
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal")
    area = 700 if len(whole) <= 12 else 380 if len(whole) <= 40 else 60
    forms = _draw_edges(axes, whole, positions, area)
    models = {name: model_of(config, name) for name in whole}
    colours = {
        model: NODE_COLOURS[place % len(NODE_COLOURS)] for place, model in enumerate(dict.fromkeys(models.values()))
    }
    for shape, chosen in (("s", set(exchange.planned.judges)), ("o", set(whole) - set(exchange.planned.judges))):
        listed = [name for name in whole if name in chosen]
        nx.draw_networkx_nodes(
            whole,
            positions,
            nodelist=listed,
            node_shape=shape,
            node_size=area,
            node_color=[colours[models[name]] for name in listed],
            edgecolors="#222222",
            linewidths=0.8,
            ax=axes,
        )
    if len(whole) <= MOST_LABELS:
        longest = max(len(name) for name in whole)
        points = max(4.5, min(9.0, area**0.5 * 1.55 / max(longest, 1)))
        nx.draw_networkx_labels(whole, positions, font_size=points, ax=axes)
    marks = [
        Line2D([], [], marker="o", linestyle="", markerfacecolor=c, markeredgecolor="#222222", label=m)
        for m, c in colours.items()
    ]
    marks += [Line2D([], [], lw=1.6, **EDGE_STYLES[form]) for form in EDGE_STYLES if form in forms]
    if exchange.planned.judges:
        marks.append(
            Line2D([], [], marker="s", linestyle="", markerfacecolor="white", markeredgecolor="#222222", label="judge")
        )
    axes.legend(handles=marks, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    if title:
        axes.set_title(title, fontsize=11)
    axes.margins(0.12)
    axes.autoscale_view()
    below: dict[str, Any] = {
        "transform": axes.transAxes,
        "ha": "center",
        "va": "top",
        "fontsize": 7.5,
        "color": "#444444",
    }
    axes.text(0.5, -0.01, _caption(config, exchange), **below)
    return figure


def _draw_edges(axes: Any, whole: Graph, positions: Positions, area: int) -> set[str]:
    thickness = 1.1 if len(whole) <= 40 else 0.4
    by_form: dict[str, list[tuple[str, str]]] = {}
    for speaker, hearer, data in whole.edges(data=True):
        edge = data.get("edge", PLAIN)
        by_form.setdefault(edge.message, []).append((speaker, hearer))
    for form, edges in by_form.items():
        for bend in (0.0, 0.12):
            # Two agents that hear each other are two arrows, bent apart.
            chosen = [edge for edge in edges if (0.12 if whole.has_edge(*reversed(edge)) else 0.0) == bend]
            if chosen:
                nx.draw_networkx_edges(
                    whole,
                    positions,
                    edgelist=chosen,
                    edge_color=EDGE_STYLES[form]["color"],
                    style=EDGE_STYLES[form]["linestyle"],
                    connectionstyle=f"arc3,rad={bend}",
                    width=[thickness * whole.edges[edge].get("edge", PLAIN).weight for edge in chosen],
                    arrowsize=11 if len(whole) <= 40 else 5,
                    node_size=area,
                    alpha=0.9 if len(whole) <= 40 else 0.5,
                    ax=axes,
                )
    return set(by_form)


def _caption(config: "DebateConfig", exchange: "Exchange") -> str:
    found = facts(config, exchange)
    size = "" if found.message_bytes is None else f", at most {found.message_bytes / 1024:,.0f} KiB"
    return (
        f"{found.agents} agents, {found.edges} edges, diameter {found.diameter}; {config.protocol}, {config.rounds} "
        f"round(s): {found.turns} messages said, {found.deliveries} heard{size}"
    )


def _teams(graph: Graph, names: list[str], groups: dict[str, tuple[str, ...]]) -> list[list[str]]:
    numbered: dict[int, list[str]] = {}
    for name in names:
        numbered.setdefault(graph.nodes[name].get("team", -1), []).append(name)
    if -1 not in numbered:
        return list(numbered.values())
    members = [[name for name in group if name in names] for group in groups.values()]
    return [group for group in members if group] if sum(map(len, members)) == len(names) else []


def _is_dense_inside(graph: Graph, teams: list[list[str]]) -> bool:
    inside = sum(int(graph.subgraph(team).number_of_edges()) for team in teams)
    within_all = int(graph.subgraph([name for team in teams for name in team]).number_of_edges())
    return inside * 2 > within_all


def _circle(names: list[str], radius: float, centre: tuple[float, float] = (0.0, 0.0), turn: float = 0.25) -> Positions:
    step = 2 * math.pi / max(len(names), 1)
    start = 2 * math.pi * turn
    return {
        name: (centre[0] + radius * math.cos(start - place * step), centre[1] + radius * math.sin(start - place * step))
        for place, name in enumerate(names)
    }


def _clusters(teams: list[list[str]]) -> Positions:
    """Place teams on a circle, the first of each towards the middle, where teams meet."""
    positions: Positions = {}
    middles = _circle([str(place) for place in range(len(teams))], TEAMS_RADIUS)
    radius = min(0.55, TEAMS_RADIUS * math.sin(math.pi / len(teams)) * 0.5)
    for place, team in enumerate(teams):
        x, y = middles[str(place)]
        inwards = (math.atan2(-y, -x) / (2 * math.pi)) % 1.0
        positions |= _circle(team, radius, (x, y), inwards)
    return positions


def _columns(ranks: dict[str, int]) -> Positions:
    positions: Positions = {}
    for rank in sorted(set(ranks.values())):
        column = [name for name, own in ranks.items() if own == rank]
        for place, name in enumerate(column):
            positions[name] = (rank * 1.1, ((len(column) - 1) / 2 - place) * 0.6)
    return positions
