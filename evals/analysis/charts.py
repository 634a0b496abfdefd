"""Charts of an analysis as blocks: accuracy by round and against tokens, agreement, entropy, calibration, drift of belief."""

from collections.abc import Sequence
from typing import Any

from evals.analysis.blocks import Block, chart, line
from evals.analysis.run_record import EACH
from evals.analysis.summary import Share, Summary

# Positions that fewer messages reach than this share of the most say something of those few only.
FEWEST = 0.1


def charts(methods: Sequence[Summary]) -> list[Block]:
    """Return every chart that the methods have numbers for."""
    made = (draw(methods) for draw in (by_round, against_budget, agreement, entropy, reliability, drift))
    return [found for found in made if found is not None]


def by_round(methods: Sequence[Summary]) -> Block | None:
    """Accuracy of the deciding agent after each round, with Wilson's intervals."""
    shown = [method for method in methods if len(method.rounds) > 1]
    return _unless_empty(
        "Accuracy by round",
        "How often the agent whose answer counts by temperature was right after each round; bars are 95 % Wilson intervals.",
        "round",
        "accuracy, %",
        [line(m.name, [_share(found.number, found.deciding) for found in m.rounds]) for m in shown],
        ymin=0,
        ymax=100,
        ticks=True,
    )


def against_budget(methods: Sequence[Summary]) -> Block | None:
    """Accuracy for the mean generated tokens a question: debates round by round, votes sample by sample."""
    shown = [method for method in methods if method.curve and not method.is_bound]
    return _unless_empty(
        "Accuracy against generated tokens",
        "What a method would have come to had it ended earlier: debates after each round, votes after each sample, of more than "
        f"{EACH} after some; bars and bands are 95 % Wilson intervals.",
        "generated tokens a question",
        "accuracy, %",
        [line(m.name, [_share(point.tokens, point.accuracy) for point in m.curve]) for m in shown],
        ymin=0,
        ymax=100,
    )


def agreement(methods: Sequence[Summary]) -> Block | None:
    """Share of pairs of agents that give one answer, after each round."""
    shown = [method for method in methods if len(method.rounds) > 1 and method.rounds[0].agreement is not None]
    return _unless_empty(
        "Agreement by round",
        "Share of the pairs of agents that give one answer, the mean over questions.",
        "round",
        "agreement, %",
        [line(m.name, [[r.number, 100 * (r.agreement or 0.0)] for r in m.rounds]) for m in shown],
        ymin=0,
        ymax=100,
        ticks=True,
    )


def entropy(methods: Sequence[Summary]) -> Block | None:
    """Mean entropy of agents' beliefs by position in the message."""
    series = []
    for method in methods:
        if method.entropy:
            most = max(number for _, number in method.entropy)
            points = [
                [place, mean, f"{number} messages"]
                for place, (mean, number) in enumerate(method.entropy, start=1)
                if number >= FEWEST * most
            ]
            series.append(line(method.name, points))
    return _unless_empty(
        "Entropy by position",
        "Mean entropy of the belief at each position of the CIPHER messages; positions that fewer than a tenth of them reach "
        "are left out.",
        "position in the message",
        "entropy, nats",
        series,
        ymin=0,
    )


def reliability(methods: Sequence[Summary]) -> Block | None:
    """Accuracy against confidence, ten bins; on the diagonal beliefs are calibrated."""
    series = []
    for method in methods:
        if (held := method.calibration) is not None:
            points = [[100 * b.confidence, 100 * b.accuracy, f"{b.count} messages"] for b in held.bins]
            series.append(line(f"{method.name} (ECE {held.error:.2f})", points, method=method.name))
    return _unless_empty(
        "Calibration",
        "How often messages of some confidence were right, in ten bins; on the dotted line beliefs are calibrated. ECE: "
        "expected calibration error.",
        "confidence, %",
        "right, %",
        series,
        ymin=0,
        ymax=100,
        xmin=0,
        xmax=100,
        diagonal=True,
    )


def drift(methods: Sequence[Summary]) -> Block | None:
    """How far beliefs over the options moved from round to round."""
    return _unless_empty(
        "Drift of belief",
        "How far an agent's belief over the options moved since its turn before: total variation distance, 0 for the same "
        "belief and 1 for none of it; the mean over agents and questions.",
        "round",
        "total variation",
        [line(m.name, [[n, mean, f"{count} beliefs"] for n, mean, count in m.drift]) for m in methods if m.drift],
        ymin=0,
        ticks=True,
    )


def _share(x: float, share: Share) -> list[Any]:
    ends = (100 * share.interval.low, 100 * share.interval.high)
    return [x, 100 * share.value, *ends, f"{share.count} of {share.total}"]


def _unless_empty(title: str, caption: str, x: str, y: str, series: list[dict[str, Any]], **how: Any) -> Block | None:
    return chart(title, caption, x, y, series, **how) if series else None
