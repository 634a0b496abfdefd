"""The measured effects of controls as a table: by edge and control, with intervals over questions. Pure; nothing is played."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.errors import RunError
from agents.json_text import parse_json
from evals.analysis import stats
from evals.analysis.blocks import Block, heading, note, table
from evals.analysis.stats import Interval

EFFECTS = "effects.json"
EVERY = "all edges"
HOW = (
    "nats a token: KL of the hearer's next-token beliefs after the message from those after the control, at temperature 1, while "
    "it reads its own intact answer; mean over tokens, rounds and questions, interval by bootstrap over questions. left of "
    "silence, of swapped: 1 − the control's KL over that of an empty slot, or of a message about another question: what of the "
    "message's effect remains under the control; below 0 it does more than that."
)
# What a message's whole effect is measured against: nothing in its place, or a message that is about something else.
BASELINES = ("silence", "swapped")


@dataclass(frozen=True)
class Effect:
    """One control on one edge in one round of one debate.

    Attributes:
        question, round, speaker, hearer: which edge.
        content: the control.
        divergences: KL of the hearer's beliefs under intact from those under the control, nats, of each token of its answer.
    """

    question: str
    round: int
    speaker: str
    hearer: str
    content: str
    divergences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the answer's tokens."""
        return float(np.mean(self.divergences))


@dataclass(frozen=True)
class Effects:
    """What was measured of a method.

    Attributes:
        method: its row.
        steps: most tokens of an answer.
        found: the effects.
    """

    method: str
    steps: int
    found: tuple[Effect, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        rows = [
            [
                one.question,
                one.round,
                one.speaker,
                one.hearer,
                one.content,
                [float(f"{d:.6g}") for d in one.divergences],
            ]
            for one in self.found
        ]
        return {"method": self.method, "steps": self.steps, "temperature": 1, "unit": "nats", "rows": rows}


@dataclass(frozen=True)
class EdgeEffect:
    """One control on one edge, over questions and rounds.

    Attributes:
        edge: `speaker → hearer`, or all of them.
        content: the control.
        questions: number of questions.
        nats: mean KL a token, over questions.
        interval: of it, by bootstrap over questions.
        shares: baseline → share of its effect that this control leaves standing, 1 − KL(control) / KL(baseline), with its
            interval; of `top1` what the likeliest token alone explains.
    """

    edge: str
    content: str
    questions: int
    nats: float
    interval: Interval
    shares: dict[str, tuple[float, Interval]]


def read_effects(path: Path) -> Effects | None:
    """Return the effects in a method's folder; None where none were measured.

    Raises:
        RunError: the file says what no version writes.
    """
    file = path / EFFECTS
    if not file.is_file():
        return None
    try:
        found = parse_json(file.read_text(encoding="utf-8"))
        rows = [Effect(q, int(r), s, h, c, tuple(map(float, d))) for q, r, s, h, c, d in found["rows"]]
        return Effects(str(found["method"]), int(found["steps"]), tuple(rows))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: not what `debate effects` writes ({type(error).__name__}: {error})") from error


def effect_cells(effects: Effects) -> list[list[str]]:
    """Return header and rows of the table of effects."""
    rows = [["edge", "control", "questions", "nats a token", "95 %", *(f"left of {name}, %" for name in BASELINES)]]
    for row in edge_effects(effects):
        shares = [
            _share(*row.shares[name]) if name in row.shares and np.isfinite(row.shares[name][0]) else "–"
            for name in BASELINES
        ]
        ends = f"{_nats(row.interval.low)} to {_nats(row.interval.high)}"
        rows.append([row.edge, row.content, str(row.questions), _nats(row.nats), ends, *shares])
    return rows


def _nats(value: float) -> str:
    return f"{value:.3f}" if value >= 0.0995 else f"{value:.2g}"


def _share(value: float, interval: Interval) -> str:
    return f"{100 * value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})".replace("-", "−")


def effect_blocks(methods: Sequence["Effects"]) -> list[Block]:
    """Return the section of a report on what messages do; empty where nothing was measured."""
    found: list[Block] = []
    for effects in methods:
        header, *rows = effect_cells(effects)
        found.append(table(f"{effects.method}: controls in a message's place, and the hearer's beliefs", header, rows))
    return [heading("What messages do to their hearers"), *found, note(HOW)] if found else []


def edge_effects(effects: Effects, *, seed: int = 0) -> list[EdgeEffect]:
    """Return the table: all edges first, then each where there are several; controls in the order measured."""
    edges = list(dict.fromkeys((one.speaker, one.hearer) for one in effects.found))
    parts = [(EVERY, effects.found)]
    if len(edges) > 1:
        for speaker, hearer in edges:
            own = tuple(one for one in effects.found if (one.speaker, one.hearer) == (speaker, hearer))
            parts.append((f"{speaker} → {hearer}", own))
    return [row for edge, found in parts for row in _rows(edge, found, seed)]


def _rows(edge: str, found: Sequence[Effect], seed: int) -> list[EdgeEffect]:
    by_content: dict[str, list[Effect]] = {}
    for one in found:
        by_content.setdefault(one.content, []).append(one)
    rows = []
    for content, own in by_content.items():
        shares = {}
        for baseline in BASELINES:
            if baseline in by_content and content not in BASELINES:
                # Where only one of them could be, the other edges say nothing of their proportion.
                both = _places(own) & _places(by_content[baseline])
                means = [_by_question(part, both) for part in (own, by_content[baseline])]
                shares[baseline] = share_left(*means, seed=seed)
        values = list(_by_question(own, _places(own)).values())
        rows.append(
            EdgeEffect(edge, content, len(values), float(np.mean(values)), stats.bootstrap(values, seed=seed), shares)
        )
    return rows


def _place(one: Effect) -> tuple[str, int, str, str]:
    return one.question, one.round, one.speaker, one.hearer


def _places(found: Sequence[Effect]) -> set[tuple[str, int, str, str]]:
    return set(map(_place, found))


def _by_question(found: Sequence[Effect], places: set[tuple[str, int, str, str]]) -> dict[str, float]:
    """Return question → mean effect over those of its edges that are among some places."""
    means: dict[str, list[float]] = {}
    for one in found:
        if _place(one) in places:
            means.setdefault(one.question, []).append(one.mean)
    return {question: float(np.mean(values)) for question, values in means.items()}


def share_left(own: dict[str, float], baseline: dict[str, float], *, seed: int = 0) -> tuple[float, Interval]:
    """Return 1 − mean(own) / mean(baseline) over the questions of both, and its percentile bootstrap interval over questions.

    It may be negative, where a control does more than the baseline; NaN where the baseline does nothing.
    """
    shared = sorted(set(own) & set(baseline))
    pairs = np.array([(own[question], baseline[question]) for question in shared])
    if not len(pairs) or pairs[:, 1].sum() == 0:
        return float("nan"), Interval(float("nan"), float("nan"))
    drawn = np.random.default_rng(seed).integers(0, len(pairs), (stats.RESAMPLES // 5, len(pairs)))
    sums = pairs[drawn].sum(axis=1)
    kept = sums[sums[:, 1] > 0]
    low, high = np.percentile(1 - kept[:, 0] / kept[:, 1], [2.5, 97.5])
    total = pairs.sum(axis=0)
    return float(1 - total[0] / total[1]), Interval(float(low), float(high))
